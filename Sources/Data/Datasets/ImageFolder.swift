import Foundation
import Torch

/// A folder with one folder of pictures for each class: `flowers/rose/17.jpg`.
///
/// Classes are the folders' names in byte order (numbers by value). Pictures are the `.jpg`,
/// `.jpeg`, `.png` files below a class folder at any depth, in byte order of their paths; hidden
/// files and other kinds of files are passed over.
public struct ImageFolder: ImageDataset {
  public let name: String
  public let classNames: [String]
  private let labels: [Int]
  private let files: [String]

  /// - Parameter classNames: The classes of a model or a training part, in label order; folders
  ///   with other names are then refused, and a class may be missing.
  /// - Throws: `MingleError` (`missingInput`) when there is no such folder; (`badData`) for an
  ///   empty class folder, no class folders, or a picture in a format that Mingle does not read.
  public init(_ path: String, classNames: [String]? = nil) throws {
    let folders = try FolderListing(path).folders.inClassOrder()
    guard !folders.isEmpty else {
      throw noSamples(in: path, expected: "one folder of JPEG or PNG pictures for each class")
    }
    var files: [String] = []
    var names: [String] = []
    for folder in folders {
      if let classNames, !classNames.contains(folder) {
        throw unknownClass(folder, known: classNames, in: path)
      }
      let pictures = try FolderListing.pictures(below: path + "/" + folder)
      guard !pictures.isEmpty else {
        throw MingleError(
          .badData, "a class folder without pictures", in: path + "/" + folder,
          expected: ".jpg or .png files", next: "add pictures or remove the folder")
      }
      files += pictures
      names += Array(repeating: folder, count: pictures.count)
    }
    let labels = try Labels(names, known: classNames, in: path)
    self.name = path
    self.classNames = labels.classNames
    self.labels = labels.indices
    self.files = files
  }

  public var count: Int { files.count }
  public func label(at index: Int) -> Int { labels[index] }
  public func sampleName(at index: Int) -> String { files[index] }
  public func image(at index: Int) throws -> Image { try Image(contentsOf: files[index]) }
  public func encodedPicture(at index: Int) throws -> EncodedPicture? {
    try EncodedPicture(contentsOf: files[index])
  }
}

/// Whether a folder lies at `path`, and not a file.
///
/// - Throws: `MingleError` (`missingInput`) when there is nothing.
func isFolder(at path: String) throws -> Bool {
  var isFolder: ObjCBool = false
  guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
    throw MingleError(
      .missingInput, "no such file or folder", in: path, next: "check the path's spelling")
  }
  return isFolder.boolValue
}

/// What lies directly in a folder, without hidden names.
struct FolderListing {
  var folders: [String] = []
  var files: [String] = []

  init(_ path: String) throws {
    let manager = FileManager.default
    guard try isFolder(at: path) else {
      throw MingleError(.badData, "not a folder", in: path)
    }
    let names: [String]
    do {
      names = try manager.contentsOfDirectory(atPath: path)
    } catch {
      throw MingleError(
        .failed, "the folder cannot be read", in: path, next: "check its permissions")
    }
    var isInner: ObjCBool = false
    for name in names where !isHidden(name) {
      // A name that ends like a picture's is not looked at: sets have a million of them.
      if FileKind(name) != .other {
        files.append(name)
      } else if manager.fileExists(atPath: path + "/" + name, isDirectory: &isInner) {
        if isInner.boolValue { folders.append(name) } else { files.append(name) }
      } else if name.contains("\u{fffd}") {
        // Left out, it might be a whole class; a dangling link, in contrast, leads nowhere.
        throw MingleError(
          .badData, "a name that is not written in UTF-8", in: path + "/" + name,
          next: "rename it, for example with convmv")
      }
    }
    folders.sort { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    files.sort { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// The paths of all pictures below a folder.
  static func pictures(below path: String, depth: Int = 0) throws -> [String] {
    guard depth < 16 else {
      throw MingleError(
        .badData, "folders nested too deep", in: path, expected: "at most 16 levels",
        next: "look for a link to a folder above")
    }
    let listing = try FolderListing(path)
    var pictures: [String] = []
    for file in listing.files {
      switch FileKind(file) {
      case .picture: pictures.append(path + "/" + file)
      case .foreignPicture: throw FileKind.foreign(path + "/" + file)
      case .other: break
      }
    }
    for folder in listing.folders {
      pictures += try Self.pictures(below: path + "/" + folder, depth: depth + 1)
    }
    return pictures
  }
}
