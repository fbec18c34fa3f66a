import Data
import Torch

/// The part of a recipe that is about text.
public struct TextRecipe: Codable, Hashable, Sendable {
  /// The tokenizer's file: a SentencePiece `.model` or a `vocab.txt`.
  public var tokenizer = ""
  /// Text for validation; nil: a part of the data that is named so, else the last `hold_out` share.
  public var validation: String?
  /// Where tokenised text is kept for other runs.
  public var cache: String?
  public var corpus = CorpusOptions()
  public var masking = Masking()

  public init() {}

  static var fields: [Field<TextRecipe>] {
    [
      Field("tokenizer", \.tokenizer), Field("validation", \.validation),
      Field("cache", \.cache), Field("corpus", \.corpus), Field("masking", \.masking),
    ]
  }

  /// A key that is not there keeps its default.
  public init(from decoder: any Decoder) throws {
    self.init()
    try Self.fields.read(into: &self, from: decoder)
  }

  public func encode(to encoder: any Encoder) throws { try Self.fields.write(self, to: encoder) }

  /// - Throws: `MingleError` naming the field whose value cannot be.
  func validate() throws { try masking.validate() }
}
