import Torch

/// What a language model answers.
public enum LanguageTask: String, Codable, Sendable, CaseIterable, CustomStringConvertible {
  /// The tokens behind masks: logits [B, S, V].
  case masked
  /// The class of a text or of a pair of texts: logits [B, K].
  case classes
  /// Where the answer to a question starts and ends: logits [B, S, 2].
  case span

  public var description: String {
    switch self {
    case .masked: "masked language modelling"
    case .classes: "text classification"
    case .span: "question answering"
    }
  }
}

/// The settings of a language model, encoded with the field names of the command line's `--set`.
public protocol LanguageConfiguration: ModelConfiguration {
  /// The number of different tokens.
  var vocabulary: Int { get set }
  /// The largest number of tokens that the model reads at once.
  var sequenceLength: Int { get set }
  /// The number of blocks.
  var depth: Int { get set }
  /// The width of a token's state.
  var dim: Int { get set }
  var task: LanguageTask { get set }
  /// The number of classes; only for ``LanguageTask/classes``.
  var classes: Int { get set }
}

extension LanguageConfiguration {
  /// How many masked positions a sequence of full length is taken to have: 15 %, rounded up, which is
  /// what BERT masks. Multiply-adds count the masked head at so many positions.
  public var maskedPositions: Int { (15 * sequenceLength + 99) / 100 }

  /// Checks the fields that every family has.
  func validateCommonFields() throws {
    try requireField("vocabulary", vocabulary, in: 2...10_000_000)
    try requireField("sequence_length", sequenceLength, in: 1...65_536)
    try requireField("depth", depth, in: 1...1024)
    try requireField("dim", dim, in: 1...65_536)
    try requireField("classes", classes, in: 1...1_000_000)
  }
}
