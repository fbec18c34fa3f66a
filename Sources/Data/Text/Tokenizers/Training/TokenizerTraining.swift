import Checkpoints
import Torch

/// How a tokenizer is made.
public struct TokenizerTraining: Sendable, Hashable {
  public enum Kind: String, Sendable, CaseIterable {
    /// SentencePiece's unigram model, case kept: a `.model` file.
    case unigram
    /// BERT's WordPiece: a `vocab.txt` file.
    case wordpiece
  }

  public var kind: Kind
  /// The number of tokens, special ones included.
  public var vocabularySize: Int
  /// Whether text is lower-cased and loses its accents; WordPiece only.
  public var lowercases = false
  /// The share of all characters in the text that get a token of their own; unigram only.
  public var characterCoverage: Float = 0.9995

  public init(_ kind: Kind, vocabularySize: Int) {
    self.kind = kind
    self.vocabularySize = vocabularySize
  }
}

/// What happens while a tokenizer is made.
public enum TokenizerTrainingEvent: Sendable {
  /// So many bytes of the text were read.
  case read(bytes: Int, of: Int)
  /// So many different words were found.
  case counted(words: Int)
  /// The vocabulary has so many pieces now.
  case pieces(Int)
}

/// Makes a tokenizer from text files and writes it to `output`, as a whole or not at all.
///
/// The same text gives the same file, on any number of cores. A text is UTF-8; bytes that are none
/// count as replacement characters. Words of more than 4,096 bytes are left out of the count of words
/// that a unigram model learns from. Memory grows with the number of different words, not with the text.
///
/// - Parameters:
///   - files: paths of text files, one text a line.
///   - progress: is told what happens; false stops the work.
/// - Throws: ``MingleError`` (`missingInput`, `badData`) for files that cannot be read, (`usage`) for a
///   vocabulary that the text cannot fill or that cannot hold its characters, (`interrupted`) when
///   `progress` stops the work.
public func trainTokenizer(
  _ training: TokenizerTraining, files: [String], output: String,
  progress: (TokenizerTrainingEvent) -> Bool = { _ in true }
) throws {
  let report = { (event: TokenizerTrainingEvent) in
    guard progress(event) else { throw MingleError(.interrupted, "stopped") }
  }
  switch training.kind {
  case .unigram:
    let model = try UnigramTrainer(training).train(on: files, report)
    try writeAtomically(to: output) { writer in
      let bytes = model.encoded(controlSymbols: UnigramTrainer.controlSymbols)
      try bytes.withUnsafeBytes { try writer.write($0) }
    }
  case .wordpiece:
    let pieces = try WordPieceTrainer(training).train(on: files, report)
    try writeAtomically(pieces.joined(separator: "\n") + "\n", to: output)
  }
}

/// Calls `body` with each line of the files, without its end; an event every few megabytes.
func forEachLine(
  of files: [String], _ report: (TokenizerTrainingEvent) throws -> Void,
  _ body: (UnsafeBufferPointer<UInt8>) -> Void
) throws {
  let maps = try files.map { try MappedFile($0) }
  let total = maps.reduce(0) { $0 + $1.count }
  guard total > 0 else {
    throw MingleError(
      .badData, "no text to learn from", in: files.first, next: "name files that hold text")
  }
  var done = 0
  var told = 0
  for map in maps {
    try map.withUnsafeBytes { raw in
      let bytes = raw.bindMemory(to: UInt8.self)
      var start = 0
      while start < bytes.count {
        let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
        body(UnsafeBufferPointer(rebasing: bytes[start..<end]))
        start = end + 1
        if done + start - told > 1 << 22 {
          told = done + start
          try report(.read(bytes: min(told, total), of: total))
        }
      }
    }
    done += map.count
  }
  try report(.read(bytes: total, of: total))
}

/// Calls `body` with the text as valid UTF-8.
func withValidUTF8(
  _ text: UnsafeBufferPointer<UInt8>, _ body: (UnsafeBufferPointer<UInt8>) -> Void
) {
  if text.allSatisfy({ $0 < 0x80 }) { return body(text) }
  var repaired = String(decoding: text, as: UTF8.self)
  repaired.withUTF8(body)
}
