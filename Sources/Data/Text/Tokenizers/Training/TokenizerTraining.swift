import Checkpoints
import Foundation
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
  /// All of the text was read; the report tells what was repaired or left out.
  case finishedReading(CorpusReport)
  /// So many different words were found; so many were too long to learn from.
  case counted(words: Int, tooLong: Int)
  /// The vocabulary has so many pieces now.
  case pieces(Int)
}

/// Makes a tokenizer from text and writes it to `output`, as a whole or not at all.
///
/// The same text gives the same file, on any number of cores. A text is UTF-8; bytes that are none
/// count as replacement characters. Words of more than 4,096 bytes (unigram) or 100 characters
/// (WordPiece) are not learned from. Memory grows with the number of different words, not with the text.
///
/// - Parameters:
///   - files: paths of text files, one text a line; of JSONL files; or of folders with such, as
///     ``TextCorpus`` takes them.
///   - progress: is told what happens; false stops the work.
/// - Returns: The number of tokens. Text in which too few pairs of pieces occur twice gives a WordPiece
///   vocabulary that is smaller than asked for.
/// - Throws: ``MingleError`` (`missingInput`, `badData`) for files that cannot be read, (`usage`) for a
///   vocabulary that the text cannot fill or that cannot hold its characters or for an output that
///   cannot be written (told before the work begins), (`interrupted`) when `progress` stops the work.
@discardableResult
public func trainTokenizer(
  _ training: TokenizerTraining, files: [String], output: String,
  progress: (TokenizerTrainingEvent) -> Bool = { _ in true }
) throws -> Int {
  let report = { (event: TokenizerTrainingEvent) in
    guard progress(event) else { throw MingleError(.interrupted, "stopped") }
  }
  var text = try TrainingText(files)
  try checkOutput(output)
  switch training.kind {
  case .unigram:
    let model = try UnigramTrainer(training).train(on: &text, report)
    try writeAtomically(to: output) { writer in
      let bytes = model.encoded(controlSymbols: UnigramTrainer.controlSymbols)
      try bytes.withUnsafeBytes { try writer.write($0) }
    }
    return model.pieces.count
  case .wordpiece:
    let pieces = try WordPieceTrainer(training).train(on: &text, report)
    try writeAtomically(pieces.joined(separator: "\n") + "\n", to: output)
    return pieces.count
  }
}

/// Finds out whether a file can be written, which leaves nothing behind. Pipes and devices are not
/// tried: they are opened once, for what is written.
private func checkOutput(_ path: String) throws {
  struct Tried: Error {}
  var status = stat()
  if stat(path, &status) == 0, ![S_IFREG, S_IFDIR].contains(status.st_mode & S_IFMT) { return }
  do {
    try writeAtomically(to: path) { _ in throw Tried() }
  } catch is Tried {}
}
