import Checkpoints
import Foundation
import Torch

extension WordPieceTokenizer {
  /// Reads BERT's `vocab.txt`: UTF-8, one piece a line; white space at a line's end is no part of it.
  ///
  /// - Parameter lowercases: nil takes what a `tokenizer_config.json` beside the file says
  ///   (`do_lower_case`); without one, text is lower-cased if no piece holds a capital letter.
  /// - Throws: ``MingleError`` for a missing file, one that is not UTF-8, or without `[UNK]`.
  public init(vocabulary path: String, lowercases: Bool? = nil) throws {
    let file = try MappedFile(path)
    guard file.count > 0 else {
      throw MingleError(
        .badData, "the vocabulary is empty", in: path, next: "copy or download the file again")
    }
    guard let text = file.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else {
      throw MingleError(
        .badData, "not UTF-8 text", in: path, expected: "a vocabulary of one piece a line",
        next: "convert the file to UTF-8")
    }
    let pieces = Self.lines(of: text)
    let lowercases = lowercases ?? Self.configuredCase(beside: path) ?? !Self.hasCapitals(pieces)
    try self.init(pieces: pieces, lowercases: lowercases, place: path)
  }

  /// The lines without the white space at their ends.
  static func lines(of text: String) -> [String] {
    var lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    return lines.map { line in
      var scalars = Substring(line).unicodeScalars
      while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
      return String(scalars)
    }
  }

  /// Whether a piece, special ones apart, holds a capital letter.
  private static func hasCapitals(_ pieces: [String]) -> Bool {
    pieces.contains { piece in
      !(piece.hasPrefix("[") && piece.hasSuffix("]"))
        && piece.unicodeScalars.contains { $0.properties.changesWhenLowercased }
    }
  }

  private static func configuredCase(beside path: String) -> Bool? {
    struct Configuration: Decodable {
      let doLowerCase: Bool?
    }
    let folder = URL(filePath: path).deletingLastPathComponent()
    let file = folder.appending(path: "tokenizer_config.json")
    guard let data = try? Foundation.Data(contentsOf: file) else { return nil }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try? decoder.decode(Configuration.self, from: data).doLowerCase
  }
}
