import Torch

/// Text to tokens and back.
///
/// A tokenizer is read from a file by ``openTokenizer(at:)`` and never changes; it may be used from
/// any number of threads at once. All functions are total: every text has tokens, every list of ids
/// has a text. Time and memory are linear in the text's length, lines without any white space
/// included.
public protocol Tokenizer: Sendable {
  /// The number of tokens; ids are `0..<vocabularySize`.
  var vocabularySize: Int { get }
  var special: SpecialTokens { get }
  /// The tokens of `text` in order, without special tokens before and after it.
  func tokens(in text: String) -> [Token]
  /// The ids of ``tokens(in:)``.
  func encode(_ text: String) -> [Int32]
  /// The text that the tokens spell. Ids outside the vocabulary are left out.
  func decode(_ ids: [Int32]) -> String
  /// The piece as the vocabulary spells it (`##ing`, `▁the`); empty for an id outside the vocabulary.
  func text(of id: Int32) -> String
  /// The id of a piece as the vocabulary spells it; nil for a piece that is not in it.
  func id(of piece: String) -> Int32?
  /// 64 hexadecimal digits: a hash of everything that decides about the ids. Two tokenizers with the
  /// same fingerprint give the same tokens for every text.
  var fingerprint: String { get }
}

extension Tokenizer {
  public func encode(_ text: String) -> [Int32] {
    tokens(in: text).map(\.id)
  }
}

/// A piece of a text.
public struct Token: Hashable, Sendable {
  public let id: Int32
  /// Where the piece stands: offsets in the text's UTF-8 bytes, always at characters' borders. A space
  /// before a word may belong to its first piece. Normalisation can make several pieces of one
  /// character; then their ranges are the same, or empty for all but one.
  public let range: Range<Int>
  /// Whether a word begins here. A word's other tokens follow directly (whole-word masking).
  public let startsWord: Bool

  public init(id: Int32, range: Range<Int>, startsWord: Bool) {
    self.id = id
    self.range = range
    self.startsWord = startsWord
  }
}

/// The ids of the tokens that stand for no text.
///
/// Only the unknown token is in every vocabulary; a file made for another purpose may lack the rest.
public struct SpecialTokens: Hashable, Sendable, Codable {
  /// `<unk>`, `[UNK]`: stands for text that the vocabulary cannot spell.
  public var unknown: Int32
  /// `<cls>`, `[CLS]`: opens an input.
  public var classification: Int32?
  /// `<sep>`, `[SEP]`: ends a part of an input.
  public var separator: Int32?
  /// `<mask>`, `[MASK]`: hides a token that the model shall find.
  public var mask: Int32?
  /// `<pad>`, `[PAD]`: fills an input up.
  public var padding: Int32?

  public init(
    unknown: Int32, classification: Int32? = nil, separator: Int32? = nil, mask: Int32? = nil,
    padding: Int32? = nil
  ) {
    self.unknown = unknown
    self.classification = classification
    self.separator = separator
    self.mask = mask
    self.padding = padding
  }

  /// All ids that are there, each once, in increasing order.
  public var ids: [Int32] {
    Set([unknown, classification, separator, mask, padding].compactMap(\.self)).sorted()
  }

  /// The id behind `token`.
  ///
  /// - Throws: ``MingleError`` (`badData`) when the vocabulary has none.
  public func require(_ token: KeyPath<SpecialTokens, Int32?>) throws -> Int32 {
    if let id = self[keyPath: token] { return id }
    let name =
      switch token {
      case \.classification: "<cls>"
      case \.separator: "<sep>"
      case \.mask: "<mask>"
      default: "<pad>"
      }
    throw MingleError(
      .badData, "the vocabulary has no \(name) token",
      next: "train one for language models: mingle tokenizer train")
  }
}
