import Layers
import Torch

/// The settings of a Sparse-MLP; variants are those of table 2 of arXiv 2109.02008.
public struct SparseMLPConfiguration: VisionConfiguration {
  /// Which of all blocks are sparse.
  public enum SparsePosition: String, Codable, Sendable, CaseIterable {
    case first, last
  }

  public var imageSize: ImageSize = 224
  public var patchSize: ImageSize = 16
  public var inputChannels = 3
  public var classes = 1000
  /// The number of dense blocks: the paper's L1.
  public var depth: Int
  /// The number of sparse blocks: the paper's L2.
  public var sparseDepth: Int
  public var sparsePosition = SparsePosition.last
  /// The paper's C.
  public var dim: Int
  /// The width of a dense block's token-mixing MLP over `dim`.
  public var tokenMLPRatio = 0.5
  /// The width of a dense block's channel-mixing MLP over `dim`.
  public var channelMLPRatio = 4.0
  /// Whether re-represent layers surround the experts; without them these see S x C.
  public var reRepresents = true
  /// The number of tokens that the experts see: the paper's S'.
  public var sparseTokens = 392
  /// The number of channels that the experts see: the paper's C'.
  public var sparseDim: Int
  /// Experts over tokens; 0 is an ordinary MLP of an expert's size.
  public var tokenExperts: Int
  /// The token experts that each channel takes.
  public var tokenTopK = 1
  /// Experts over channels; 0 is an ordinary MLP of an expert's size.
  public var channelExperts: Int
  /// The channel experts that each token takes.
  public var channelTopK = 2
  /// The paper's D_S'.
  public var expertTokensHidden: Int
  /// The paper's D_C'.
  public var expertChannelsHidden: Int
  /// The share of the balance losses in what is minimised.
  public var auxiliaryLossWeight = 0.01
  /// The deviation of the router's noise in training, times the number of experts.
  public var routerNoise = 1.0
  public var activation = Activation.gelu
  public var dropout = 0.0
  public var dropPath = 0.0
  public var dropPathRule = DropPathRule.linear

  public init(
    depth: Int, sparseDepth: Int, dim: Int, sparseDim: Int, tokenExperts: Int, channelExperts: Int,
    expertTokensHidden: Int, expertChannelsHidden: Int
  ) {
    self.depth = depth
    self.sparseDepth = sparseDepth
    self.dim = dim
    self.sparseDim = sparseDim
    self.tokenExperts = tokenExperts
    self.channelExperts = channelExperts
    self.expertTokensHidden = expertTokensHidden
    self.expertChannelsHidden = expertChannelsHidden
  }

  enum CodingKeys: String, CodingKey {
    case imageSize = "image_size", patchSize = "patch_size", inputChannels = "input_channels"
    case classes, depth, sparseDepth = "sparse_depth", sparsePosition = "sparse_position", dim
    case tokenMLPRatio = "token_mlp_ratio", channelMLPRatio = "channel_mlp_ratio"
    case reRepresents = "re_represent", sparseTokens = "sparse_tokens", sparseDim = "sparse_dim"
    case tokenExperts = "token_experts", tokenTopK = "token_top_k"
    case channelExperts = "channel_experts", channelTopK = "channel_top_k"
    case expertTokensHidden = "expert_tokens_hidden"
    case expertChannelsHidden = "expert_channels_hidden"
    case auxiliaryLossWeight = "auxiliary_loss_weight", routerNoise = "router_noise"
    case activation, dropout, dropPath = "drop_path", dropPathRule = "drop_path_rule"
  }

  /// The widths of a dense block's MLPs: the paper's D_S and D_C.
  var tokenHidden: Int { Int(tokenMLPRatio * Double(dim)) }
  var channelHidden: Int { Int(channelMLPRatio * Double(dim)) }

  public func validate() throws {
    try validateCommonFields()
    try requireField("depth", depth, in: 0...1024)
    try requireField("sparse_depth", sparseDepth, in: (depth == 0 ? 1 : 0)...1024)
    try requireField("dim", dim, in: 1...65_536)
    try requireField("token_mlp_ratio", tokenMLPRatio, in: 1 / Double(dim)...4096)
    try requireField("channel_mlp_ratio", channelMLPRatio, in: 1 / Double(dim)...64)
    try requireField("sparse_tokens", sparseTokens, in: 1...65_536)
    try requireField("sparse_dim", sparseDim, in: 1...65_536)
    try requireField("token_experts", tokenExperts, in: 0...4096)
    try requireField("channel_experts", channelExperts, in: 0...4096)
    if tokenExperts > 0 { try requireField("token_top_k", tokenTopK, in: 1...tokenExperts) }
    if channelExperts > 0 {
      try requireField("channel_top_k", channelTopK, in: 1...channelExperts)
    }
    try requireField("expert_tokens_hidden", expertTokensHidden, in: 1...1_048_576)
    try requireField("expert_channels_hidden", expertChannelsHidden, in: 1...1_048_576)
    try requireField("auxiliary_loss_weight", auxiliaryLossWeight, in: 0...1000)
    try requireField("router_noise", routerNoise, in: 0...1000)
    try requireField("dropout", dropout, in: 0...1)
    try requireField("drop_path", dropPath, in: 0...1)
    _ = try grid(patch: patchSize)
  }
}

extension SparseMLPConfiguration {
  public static let small = SparseMLPConfiguration(
    depth: 6, sparseDepth: 2, dim: 512, sparseDim: 512, tokenExperts: 4, channelExperts: 0,
    expertTokensHidden: 512, expertChannelsHidden: 2048)
  public static let base = SparseMLPConfiguration(
    depth: 10, sparseDepth: 2, dim: 768, sparseDim: 384, tokenExperts: 8, channelExperts: 4,
    expertTokensHidden: 768, expertChannelsHidden: 1536)
  public static let large = base.with {
    $0.depth = 8
    $0.sparseDepth = 6
    $0.tokenExperts = 16
  }
}
