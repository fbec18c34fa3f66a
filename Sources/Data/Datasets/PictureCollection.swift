import Foundation
import Torch

/// Pictures without classes; every label is 0.
public struct PictureCollection: ImageDataset {
  public let name: String
  public let classNames = ["picture"]
  private let files: [String]

  /// One picture, or a folder that holds pictures itself; nil for anything else.
  ///
  /// - Throws: `MingleError` (`missingInput`) when there is nothing at `path`.
  public init?(at path: String) throws {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      guard try FolderListing(path).files.contains(where: { FileKind($0) != .other }) else {
        return nil
      }
    } else if FileKind(path) != .picture {
      return nil
    }
    name = path
    files = try pictureFiles(at: path)
  }

  public var count: Int { files.count }
  public func label(at index: Int) -> Int { 0 }
  public func sampleName(at index: Int) -> String { files[index] }
  public func image(at index: Int) throws -> Image { try Image(contentsOf: files[index]) }
  public func encodedPicture(at index: Int) throws -> EncodedPicture? {
    try EncodedPicture(contentsOf: files[index])
  }
}
