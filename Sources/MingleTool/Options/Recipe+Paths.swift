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
