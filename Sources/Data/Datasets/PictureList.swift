import Foundation
import Torch

/// A CSV list of picture files and their classes; paths are relative to the list.
///
/// With a header, the columns are found by name (`path`, `file`, `filename`, `filepath`, `image`,
/// `image_path`; `label`, `class`, `category`, `target`); without one they are the first and second.
/// Classes are in byte order of their names, or by value when all are numbers.
public struct PictureList: ImageDataset {
  static let pathColumns: Set = ["path", "file", "filename", "filepath", "image", "image_path"]
  static let labelColumns: Set = ["label", "class", "category", "target"]

  public let name: String
  public let classNames: [String]
  private let labels: [Int]
  private let files: [String]

  /// - Throws: `MingleError` (`badData`) for a row without path or class, no rows, or a format
  ///   that Mingle does not read; (`missingInput`) when the first picture is not there.
  public init(_ path: String, classNames: [String]? = nil) throws {
    try self.init(FileContents(path), classNames: classNames)
  }

  init(_ contents: FileContents, classNames: [String]?) throws {
    let place = contents.path
    let folder = URL(filePath: place).deletingLastPathComponent()
    var files: [String] = []
    var names: [String] = []
    try contents.withUnsafeBytes { bytes in
      var rows = CSVRows(bytes)
      var columns = (path: 0, label: 1)
      var isFirst = true
      while let fields = rows.next() {
        defer { isFirst = false }
        if isFirst, let found = Self.columns(in: fields.map { $0.text.lowercased() }) {
          columns = found
          continue
        }
        let row = "\(place), line \(rows.line)"
        guard fields.count > max(columns.path, columns.label),
          !fields[columns.path].isEmpty, !fields[columns.label].isEmpty
        else {
          throw MingleError(
            .badData, "a row without path or class", in: row, expected: "PATH,CLASS",
            got: "\(fields.count) columns")
        }
        let file = fields[columns.path].text
        guard FileKind(file) == .picture else {
          throw MingleError(
            .badData, "not the path of a picture", in: row, expected: "a .jpg or .png file",
            got: "'\(file.prefix(80))'")
        }
        files.append(
          file.hasPrefix("/") ? file : folder.appending(path: file).path(percentEncoded: false))
        names.append(fields[columns.label].text)
      }
    }
    guard let first = files.first else {
      throw noSamples(in: place, expected: "rows PATH,CLASS, or rows of pixel values and a label")
    }
    guard FileManager.default.fileExists(atPath: first) else {
      throw MingleError(
        .missingInput, "the list's first picture is not there", in: first,
        next: "write paths relative to the folder of \(place)")
    }
    let labels = try Labels(names, known: classNames, in: place)
    name = place
    self.classNames = labels.classNames
    self.labels = labels.indices
    self.files = files
  }

  private static func columns(in header: [String]) -> (path: Int, label: Int)? {
    guard let path = header.firstIndex(where: pathColumns.contains),
      let label = header.firstIndex(where: labelColumns.contains)
    else { return nil }
    return (path, label)
  }

  public var count: Int { files.count }
  public func label(at index: Int) -> Int { labels[index] }
  public func sampleName(at index: Int) -> String { files[index] }
  public func image(at index: Int) throws -> Image { try Image(contentsOf: files[index]) }
  public func encodedPicture(at index: Int) throws -> EncodedPicture? {
    try EncodedPicture(contentsOf: files[index])
  }
}
