import Foundation
import Torch

/// Where the text for training lies, and that for validation if it has a place of its own.
///
/// A folder with a part that is named `train` (a folder, or a text file such as `train.txt`) has parts;
/// `validation`, `valid`, `val` or `dev`, or in their place `test`, is for validation. Everything else
/// is training text as a whole.
///
/// - Throws: `MingleError` if there is nothing at `path`, or a part is there twice.
package func textParts(at path: String) throws -> (training: String, validation: String?) {
  var isFolder: ObjCBool = false
  guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
    throw MingleError(
      .missingInput, "no such file or folder", in: path, next: "check the path's spelling")
  }
  guard isFolder.boolValue else { return (path, nil) }
  let listing = try FolderListing(path)
  var parts: [DatasetSplit: String] = [:]
  for name in (listing.folders + listing.files).sorted() {
    guard let split = DatasetSplit(folder: name.prefix { $0 != "." }) else { continue }
    if let other = parts.updateValue(name, forKey: split) {
      throw MingleError(
        .badData, "two texts for \(split.rawValue)", in: path, got: "\(other) and \(name)",
        next: "keep one of them")
    }
  }
  guard let training = parts[.train] else { return (path, nil) }
  let validation = DatasetSplit.validation.alternatives.lazy.compactMap { parts[$0] }.first
  return ("\(path)/\(training)", validation.map { "\(path)/\($0)" })
}
