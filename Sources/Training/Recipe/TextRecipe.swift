import Data
import Torch

/// The part of a recipe that is about text.
public struct TextRecipe: Codable, Hashable, Sendable {
  /// The tokenizer's file: a SentencePiece `.model` or a `vocab.txt`. Empty: the one beside the weights
  /// that the run starts from.
  public var tokenizer = ""
  /// Text for validation in `mlm`; nil: a part of the data that is named so, else the last `hold_out`
  /// share.
  public var validation: String?
  /// Where tokenised text is kept for other runs; nil: the user's folder for caches.
  public var cache: String?
  /// How the files of `mlm` are read.
  public var corpus = CorpusOptions()
  public var masking = Masking()
  /// Which columns of a table hold texts and labels.
  public var columns = TextColumns()
  /// The most tokens of a text in `text` and `questions`: longer ones are cut, or read in windows. Nil:
  /// as many as the model takes.
  public var length: Int?
  /// The windows of `questions`.
  public var windows = SQuADWindowOptions()

  public init() {}

  static var fields: [Field<TextRecipe>] {
    [
      Field("tokenizer", \.tokenizer), Field("validation", \.validation),
      Field("cache", \.cache), Field("corpus", \.corpus), Field("masking", \.masking),
      Field("columns", \.columns), Field("length", \.length), Field("windows", \.windows),
    ]
  }

  /// A key that is not there keeps its default.
  public init(from decoder: any Decoder) throws {
    self.init()
    try Self.fields.read(into: &self, from: decoder)
  }

  public func encode(to encoder: any Encoder) throws { try Self.fields.write(self, to: encoder) }

  /// - Throws: `MingleError` naming the field whose value cannot be.
  func validate() throws {
    try masking.validate()
    guard (4...65_536).contains(length ?? 4) else {
      throw MingleError(
        .usage, "text.length is out of range", expected: "4 to 65536", got: "\(length ?? 0)")
    }
  }
}
