import Layers
import Torch

/// How a BERT knows where tokens stand.
public enum BERTPositions: String, Codable, Sendable, CaseIterable {
  /// A vector for each position, added to the token's.
  case absolute
  /// A number for each class of distances between two tokens, added to their attention's score.
  case relative
}

/// The settings of a BERT; variants are those of arXiv 1810.04805.
public struct BERTConfiguration: LanguageConfiguration {
  /// Google's uncased vocabulary has 30,522 tokens; gMLP's paper takes 32,000.
  public var vocabulary = 30_522
  public var sequenceLength = 512
  public var depth: Int
  public var dim: Int
  /// How many heads attention has; must divide `dim`.
  public var heads: Int
  /// The width of a block's MLP.
  public var ffnDim: Int
  /// How many texts of an input have a vector that tells them apart.
  public var segments = 2
  public var positions = BERTPositions.absolute
  /// The number of classes of distances, of relative positions.
  public var relativeBuckets = 32
  /// Distances from here on are of one class.
  public var relativeDistance = 128
  /// Whether attention's scores depend on the tokens; without, relative positions alone make them.
  public var contentAttention = true
  public var activation = Activation.gelu
  public var dropout = 0.1
  public var attentionDropout = 0.1
  public var normEpsilon = 1e-12
  /// The padding token, whose vector gets no gradient from being looked up, as in Hugging Face's code;
  /// -1 for none.
  public var padToken = 0
  public var task = LanguageTask.masked
  public var classes = 2

  public init(depth: Int, dim: Int, heads: Int, ffnDim: Int) {
    self.depth = depth
    self.dim = dim
    self.heads = heads
    self.ffnDim = ffnDim
  }

  enum CodingKeys: String, CodingKey {
    case vocabulary, sequenceLength = "sequence_length", depth, dim, heads, ffnDim = "ffn_dim"
    case segments, positions, relativeBuckets = "relative_buckets"
    case relativeDistance = "relative_distance", contentAttention = "content_attention"
    case activation, dropout, attentionDropout = "attention_dropout"
    case normEpsilon = "norm_epsilon", padToken = "pad_token", task, classes
  }

  public func validate() throws {
    try validateCommonFields()
    try requireField("heads", heads, in: 1...4096)
    guard dim % heads == 0 else {
      throw MingleError(
        .usage, "heads must divide dim", expected: "a divisor of \(dim)", got: "\(heads)")
    }
    try requireField("ffn_dim", ffnDim, in: 1...262_144)
    try requireField("segments", segments, in: 1...1024)
    try requireField("pad_token", padToken, in: -1...vocabulary - 1)
    guard contentAttention || positions == .relative else {
      throw MingleError(
        .usage, "attention without content needs positions", got: "positions=\(positions)",
        next: "set positions=relative as well")
    }
    try requireField("relative_buckets", relativeBuckets, in: 4...4096)
    guard relativeBuckets % 2 == 0, relativeDistance > relativeBuckets / 4 else {
      throw MingleError(
        .usage, "no classes of distances can be so",
        expected: "an even relative_buckets, and relative_distance above a quarter of it",
        got: "\(relativeBuckets) and \(relativeDistance)")
    }
    try requireField("relative_distance", relativeDistance, in: 2...1_000_000)
    try requireField("dropout", dropout, in: 0...1)
    try requireField("attention_dropout", attentionDropout, in: 0...1)
    try requireField("norm_epsilon", normEpsilon, in: 0...1)
  }
}

extension BERTConfiguration {
  public static let base = BERTConfiguration(depth: 12, dim: 768, heads: 12, ffnDim: 3072)
  public static let large = BERTConfiguration(depth: 24, dim: 1024, heads: 16, ffnDim: 4096)
}
