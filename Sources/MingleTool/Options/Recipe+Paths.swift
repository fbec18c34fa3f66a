import Foundation
import Mingle

extension Recipe {
  /// The recipe with whole paths: a run can be resumed from any folder.
  func withWholePaths() -> Recipe {
    func whole(_ path: String) -> String { URL(filePath: path).standardizedFileURL.path }
    var result = self
    result.data = whole(data)
    result.weights = weights.map(whole)
    if var text {
      if !text.tokenizer.isEmpty { text.tokenizer = whole(text.tokenizer) }
      text.validation = text.validation.map(whole)
      text.cache = text.cache.map(whole)
      result.text = text
    }
    return result
  }
}

/// The recipe of a run; nil for a file of weights.
///
/// - Throws: `MingleError` for a recipe that cannot be read.
func recipe(ofRunAt path: String) throws -> Recipe? {
  let file = "\(path)/config.yaml"
  return FileManager.default.fileExists(atPath: file) ? try Recipe(contentsOf: file) : nil
}
