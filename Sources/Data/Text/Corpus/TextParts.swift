import Foundation
import Torch

/// Where the parts of the text at `path` lie; nil for text without parts.
///
/// A folder with a part that is named `train` (a folder, or a text file such as `train.txt`) has parts;
/// `validation`, `valid`, `val` or `dev`, and `test`, are the others. Everything else is training text
/// as a whole.
///
/// - Throws: `MingleError` if there is nothing at `path`, or a part is there twice.
package func textParts(at path: String) throws -> [DatasetSplit: String]? {
  guard try isFolder(at: path) else { return nil }
  let listing = try FolderListing(path)
  var parts: [DatasetSplit: String] = [:]
  for name in (listing.folders + listing.files.filter(isText)).sorted() {
    guard let split = DatasetSplit(folder: name.prefix { $0 != "." }) else { continue }
    if let other = parts.updateValue("\(path)/\(name)", forKey: split) {
      throw MingleError(
        .badData, "two texts for \(split.rawValue)", in: "\(path)/\(name)", got: other,
        next: "keep one of them")
    }
  }
  return parts[.train] == nil ? nil : parts
}
