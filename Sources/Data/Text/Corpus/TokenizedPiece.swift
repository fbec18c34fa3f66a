import Foundation
import Torch

/// The tokens of a piece of a corpus.
struct TokenizedPiece: Sendable {
  /// Marks, in ``tokens``, a token that begins a word.
  static let wordFlag: UInt32 = 1 << 31

  let piece: CorpusPiece
  /// Ids, with ``wordFlag``.
  private(set) var tokens: [UInt32] = []
  /// The numbers of tokens after which a document ends.
  private(set) var documentEnds: [Int] = []
  private(set) var invalidLines = 0
  private(set) var emptyRows = 0

  /// - Throws: `MingleError` that names file and line for a row that is no JSON object with a text,
  ///   or for invalid UTF-8 if it is refused.
  init(_ piece: CorpusPiece, of corpus: TextCorpus, tokenizer: any Tokenizer) throws {
    self.piece = piece
    let file = corpus.files[piece.file]
    let contents = try OpenFile(file.path)
    guard piece.range.upperBound <= contents.count else {
      throw MingleError(
        .badData, "the file became shorter while it was read", in: file.path,
        next: "start again when nothing writes to it")
    }
    let bytes = try contents.read(piece.range)
    try bytes.withUnsafeBytes { bytes in
      var start = piece.range.lowerBound == 0 ? try bytes.startOfText(in: file.path) : 0
      while start < bytes.count {
        let end = bytes.newline(from: start) ?? bytes.count
        let line = UnsafeRawBufferPointer(rebasing: bytes[start..<end]).withoutReturn
        let place = {
          "\(file.path), line \(try contents.line(at: piece.range.lowerBound + start))"
        }
        let hasEnd = end < bytes.count || piece.endsLine
        if file.isRows {
          try addRow(line, corpus.options, tokenizer, place)
        } else {
          try addLine(line, hasEnd: hasEnd, corpus.options, tokenizer, place)
        }
        start = end + 1
      }
    }
    if piece.endsFile { endDocument() }
  }

  private mutating func addLine(
    _ line: UnsafeRawBufferPointer, hasEnd: Bool, _ options: CorpusOptions,
    _ tokenizer: any Tokenizer, _ place: () throws -> String
  ) throws {
    if line.allSatisfy({ $0 == 0x20 || (0x09...0x0D).contains($0) }) {
      if options.documentEnd == .emptyLine && hasEnd { endDocument() }
      return
    }
    let (text, isValid) = String.repairing(line)
    if !isValid { try countInvalid(options, place) }
    add(tokenizer.tokens(in: text))
    if options.documentEnd == .line && hasEnd { endDocument() }
  }

  private mutating func addRow(
    _ line: UnsafeRawBufferPointer, _ options: CorpusOptions, _ tokenizer: any Tokenizer,
    _ place: () throws -> String
  ) throws {
    if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { return }
    // The line's number costs reading the file: it is found only for an error.
    var parser = JSONParser(line, in: "")
    let row: JSONValue
    do {
      row = try parser.parse()
    } catch let error as MingleError {
      throw MingleError(
        error.kind, error.what, in: try place(), expected: "a JSON object in each line",
        next: error.next)
    }
    guard case .text(let text)? = row[options.textField] else {
      throw MingleError(
        .badData, "a row without text", in: try place(),
        expected: "an object with a text in the field '\(options.textField)'",
        got: row[options.textField]?.kind ?? row.fieldNames, next: "name the text's field")
    }
    if parser.repairedTexts > 0 { try countInvalid(options, place) }
    if text.isEmpty { emptyRows += 1 }
    // As in text files, a line at a time: what a tokenizer makes of line ends is not asked.
    for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
      add(tokenizer.tokens(in: String(Substring(line))))
    }
    endDocument()
  }

  private mutating func add(_ new: [Token]) {
    tokens.reserveCapacity(tokens.count + new.count)
    for token in new {
      tokens.append(UInt32(bitPattern: token.id) | (token.startsWord ? Self.wordFlag : 0))
    }
  }

  private mutating func endDocument() {
    if documentEnds.last != tokens.count { documentEnds.append(tokens.count) }
  }

  private mutating func countInvalid(_ options: CorpusOptions, _ place: () throws -> String) throws
  {
    guard options.invalidText == .replace else {
      throw MingleError(
        .badData, "invalid UTF-8", in: try place(),
        next: "convert the file to UTF-8, or let such bytes be replaced")
    }
    invalidLines += 1
  }
}

extension JSONValue {
  /// The names of an object's fields, or what it is instead.
  var fieldNames: String {
    guard case .object(let members) = self else { return kind }
    return members.isEmpty ? "no fields" : "fields \(listed(members.keys.inByteOrder(), limit: 8))"
  }
}

extension Collection where Element == String {
  func inByteOrder() -> [String] { sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) } }
}
