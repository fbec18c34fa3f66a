import Checkpoints
import Torch

/// Opens a vocabulary by its content: BERT's `vocab.txt` (WordPiece, one piece a line) or a
/// SentencePiece `.model` (unigram).
///
/// A `vocab.txt` does not tell whether its text was lower-cased. `tokenizer_config.json` beside it
/// may (`do_lower_case`); without one it was, if no piece holds a capital letter (special tokens
/// apart).
///
/// - Throws: ``MingleError`` for a file that is missing, empty, damaged or of another kind.
public func openTokenizer(at path: String) throws -> any Tokenizer {
  let file = try MappedFile(path)
  guard file.count > 0 else {
    throw MingleError(
      .badData, "the vocabulary is empty", in: path, next: "copy or download the file again")
  }
  // A model holds numbers, which are no UTF-8; a text has no NUL bytes.
  let isText = file.withUnsafeBytes { bytes in
    !bytes.contains(0) && String(validating: bytes, as: UTF8.self) != nil
  }
  if isText {
    let isJSON = file.withUnsafeBytes { bytes in
      bytes.first { $0 > 0x20 } == UInt8(ascii: "{")
        && bytes.last { $0 > 0x20 } == UInt8(ascii: "}")
    }
    guard !isJSON else {
      throw MingleError(
        .badData, "JSON, not a vocabulary", in: path, expected: "vocab.txt, or a .model file",
        next: "name the vocab.txt or .model that belongs to it")
    }
    return try WordPieceTokenizer(vocabulary: path)
  }
  guard file.withUnsafeBytes({ $0[0] == 0x0A }) || path.hasSuffix(".model") else {
    throw MingleError(
      .badData, "neither UTF-8 text nor a SentencePiece model", in: path,
      expected: "vocab.txt in UTF-8, or a .model file", next: "convert or name another file")
  }
  return try UnigramTokenizer(model: path)
}
