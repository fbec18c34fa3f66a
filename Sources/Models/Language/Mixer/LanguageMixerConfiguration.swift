import Layers
import Torch

/// The settings of an MLP-Mixer for language; the variant is that of table 3 of arXiv 2105.08050.
public struct LanguageMixerConfiguration: LanguageConfiguration {
  public var vocabulary = 32_000
  /// The paper's n: 128 in table 3.
  public var sequenceLength = 128
  /// The paper's L.
  public var depth: Int
  /// The paper's d.
  public var dim: Int
  /// The width of the token-mixing MLP: the paper's d_s.
  public var tokenFfnDim: Int
  /// The width of the channel-mixing MLP: the paper's d_ffn.
  public var ffnDim: Int
  public var activation = Activation.gelu
  public var dropout = 0.0
  public var task = LanguageTask.masked
  public var classes = 2

  public init(depth: Int, dim: Int, tokenFfnDim: Int, ffnDim: Int) {
    self.depth = depth
    self.dim = dim
    self.tokenFfnDim = tokenFfnDim
    self.ffnDim = ffnDim
  }

  enum CodingKeys: String, CodingKey {
    case vocabulary, sequenceLength = "sequence_length", depth, dim
    case tokenFfnDim = "token_ffn_dim", ffnDim = "ffn_dim", activation, dropout, task, classes
  }

  public func validate() throws {
    try validateCommonFields()
    try requireField("token_ffn_dim", tokenFfnDim, in: 1...262_144)
    try requireField("ffn_dim", ffnDim, in: 1...262_144)
    try requireField("dropout", dropout, in: 0...1)
  }
}

extension LanguageMixerConfiguration {
  public static let base = LanguageMixerConfiguration(
    depth: 24, dim: 768, tokenFfnDim: 384, ffnDim: 3072)
}
