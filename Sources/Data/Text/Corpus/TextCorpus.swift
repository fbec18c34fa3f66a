import Foundation
import Torch

/// The files of a text for pre-training, in a fixed order.
///
/// Text files hold UTF-8, with any line ends and with or without a byte order mark; files named
/// `.jsonl` or `.ndjson` hold a JSON object in each line. From folders, all of them below are taken,
/// by the bytes of their paths: `.txt`, `.text`, `.md` and the JSON forms. A file that is named
/// itself is text whatever its name.
public struct TextCorpus: Sendable {
  struct File: Hashable, Sendable {
    /// The path for opening it, and the one for messages: as given, or relative to the folder.
    let path: String
    let name: String
    let isRows: Bool
  }

  /// The paths that were given.
  public let paths: [String]
  public let options: CorpusOptions
  let files: [File]
  let ignored: [String]

  /// - Throws: `MingleError` (`missingInput`) when there is nothing at a path, (`badData`) when there
  ///   is no text file.
  public init(_ paths: [String], options: CorpusOptions = CorpusOptions()) throws {
    var files: [File] = []
    var ignored: [String] = []
    for path in paths {
      if try isFolder(at: path) {
        for name in try namesOfFiles(below: path, depth: 0).inByteOrder() {
          let isRows = hasEnding(name, rowEndings)
          if isRows || hasEnding(name, textEndings) {
            files.append(File(path: "\(path)/\(name)", name: name, isRows: isRows))
          } else {
            ignored.append(name)
          }
        }
      } else {
        if hasEnding(path, [".gz", ".zip", ".xz", ".zst", ".bz2"]) {
          throw MingleError(.badData, "a packed file, not text", in: path, next: "unpack it first")
        }
        files.append(File(path: path, name: path, isRows: hasEnding(path, rowEndings)))
      }
    }
    guard !files.isEmpty else {
      throw MingleError(
        .badData, "no text files", in: paths.joined(separator: ", "),
        expected: "files that end in \((textEndings + rowEndings).joined(separator: ", "))",
        got: ignored.isEmpty ? nil : listed(ignored))
    }
    self.paths = paths
    self.options = options
    self.files = files
    self.ignored = ignored
  }

  /// The text at one path.
  ///
  /// - Throws: `MingleError` as ``init(_:options:)-([String],_)`` does.
  public init(_ path: String, options: CorpusOptions = CorpusOptions()) throws {
    try self.init([path], options: options)
  }

  /// The paths in one line.
  var name: String { listed(paths) }
}

private let textEndings = [".txt", ".text", ".md"]
private let rowEndings = [".jsonl", ".ndjson"]

/// Whether a file in a folder is text, or rows of it, by its name.
func isText(_ name: String) -> Bool { hasEnding(name, textEndings + rowEndings) }

private func hasEnding(_ name: String, _ endings: [String]) -> Bool {
  let name = name.lowercased()
  return endings.contains(where: name.hasSuffix)
}

private func namesOfFiles(below path: String, depth: Int) throws -> [String] {
  guard depth < 64 else {
    throw MingleError(
      .badData, "folders too deep", in: path, expected: "at most 64 levels",
      next: "look for a link to a folder above")
  }
  let listing = try FolderListing(path)
  return try listing.files
    + listing.folders.flatMap { folder in
      try namesOfFiles(below: "\(path)/\(folder)", depth: depth + 1).map { "\(folder)/\($0)" }
    }
}
