import Layers
import Torch

/// How a block uses the projection f over tokens of its inner channels Z (table 3 of arXiv 2105.08050).
public enum SpatialFunction: String, Codable, Sendable, CaseIterable {
  /// `s = f(Z)`
  case linear
  /// `s = Z + f(Z)`
  case additive
  /// `s = Z * f(Z)`
  case multiplicative
  /// `s = Z1 * f(Z2)` for the two halves of the channels: the paper's spatial gating unit.
  case split
}

/// The settings of a gMLP or aMLP for language; variants are those of table 5 of arXiv 2105.08050.
///
/// The models of tables 3 and 4 are `gmlp_base` with `sequence_length` 128 and another `depth`
/// (18, 36, 72, 144) or, at `depth` 36, another `spatial_function` with `ffn_dim` 2048.
public struct LanguageGatedMLPConfiguration: LanguageConfiguration {
  public var vocabulary = 32_000
  /// The paper's n.
  public var sequenceLength = 512
  /// The paper's L.
  public var depth: Int
  /// The paper's d_model.
  public var dim: Int
  /// The width inside a block: the paper's d_ffn.
  public var ffnDim: Int
  /// The width of attention's queries, keys and values: 0 for a gMLP, the paper's 64 or 128 for an aMLP.
  public var attentionDim: Int
  public var spatialFunction = SpatialFunction.split
  /// One number for each distance between tokens, or one for each pair of positions.
  public var spatialWeights = SpatialProjection.Weights.toeplitz
  public var activation = Activation.gelu
  /// 0 to pre-train, 0.1 to fine-tune in the paper.
  public var dropout = 0.0
  public var attentionDropout = 0.0
  public var task = LanguageTask.masked
  public var classes = 2

  public init(depth: Int, dim: Int, ffnDim: Int, attentionDim: Int = 0) {
    self.depth = depth
    self.dim = dim
    self.ffnDim = ffnDim
    self.attentionDim = attentionDim
  }

  enum CodingKeys: String, CodingKey {
    case vocabulary, sequenceLength = "sequence_length", depth, dim, ffnDim = "ffn_dim"
    case attentionDim = "attention_dim", spatialFunction = "spatial_function"
    case spatialWeights = "spatial_weights", activation, dropout
    case attentionDropout = "attention_dropout", task, classes
  }

  /// The width of what the gate mixes and gives.
  var gateDim: Int { spatialFunction == .split ? ffnDim / 2 : ffnDim }

  public func validate() throws {
    try validateCommonFields()
    try requireField("ffn_dim", ffnDim, in: 1...262_144)
    guard spatialFunction != .split || ffnDim % 2 == 0 else {
      throw MingleError(
        .usage, "ffn_dim must be even, for the gate splits it in halves", got: "\(ffnDim)")
    }
    try requireField("attention_dim", attentionDim, in: 0...65_536)
    try requireField("dropout", dropout, in: 0...1)
    try requireField("attention_dropout", attentionDropout, in: 0...1)
  }
}

extension LanguageGatedMLPConfiguration {
  public static let base = LanguageGatedMLPConfiguration(depth: 48, dim: 512, ffnDim: 3072)
  public static let large = LanguageGatedMLPConfiguration(depth: 96, dim: 768, ffnDim: 3072)
  public static let extraLarge = LanguageGatedMLPConfiguration(depth: 144, dim: 1024, ffnDim: 4096)
  /// aMLP base.
  public static let attentiveBase = LanguageGatedMLPConfiguration(
    depth: 36, dim: 512, ffnDim: 3072, attentionDim: 64)
  /// aMLP large.
  public static let attentiveLarge = LanguageGatedMLPConfiguration(
    depth: 72, dim: 768, ffnDim: 3072, attentionDim: 128)
}
