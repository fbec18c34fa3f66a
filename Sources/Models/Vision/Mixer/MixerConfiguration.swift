import Layers

/// The settings of an MLP-Mixer; variants are those of table 1 of arXiv 2105.01601.
public struct MixerConfiguration: VisionConfiguration {
  public var imageSize: ImageSize = 224
  public var patchSize: ImageSize = 16
  public var inputChannels = 3
  public var classes = 1000
  /// The number of blocks.
  public var depth: Int
  /// The paper's hidden size C.
  public var dim: Int
  /// The width of the token-mixing MLP over `dim`: the paper's D_S / C.
  public var tokenMLPRatio = 0.5
  /// The width of the channel-mixing MLP over `dim`: the paper's D_C / C.
  public var channelMLPRatio = 4.0
  /// `geluTanh` is what Google's weights were trained with, `gelu` what timm runs them with.
  public var activation = Activation.gelu
  public var dropout = 0.0
  public var dropPath = 0.0
  public var dropPathRule = DropPathRule.linear

  public init(depth: Int, dim: Int) {
    self.depth = depth
    self.dim = dim
  }

  enum CodingKeys: String, CodingKey {
    case imageSize = "image_size", patchSize = "patch_size", inputChannels = "input_channels"
    case classes, depth, dim
    case tokenMLPRatio = "token_mlp_ratio", channelMLPRatio = "channel_mlp_ratio"
    case activation, dropout, dropPath = "drop_path", dropPathRule = "drop_path_rule"
  }

  /// The width of the token-mixing MLP: the paper's D_S. Setting it sets the ratio.
  var tokenHidden: Int {
    get { Int(tokenMLPRatio * Double(dim)) }
    set {
      tokenMLPRatio = Double(newValue) / Double(dim)
      // The quotient may have been rounded down.
      if tokenHidden < newValue { tokenMLPRatio = tokenMLPRatio.nextUp }
    }
  }

  /// The width of the channel-mixing MLP: the paper's D_C.
  var channelHidden: Int { Int(channelMLPRatio * Double(dim)) }

  public func validate() throws {
    try validateCommonFields()
    try requireField("depth", depth, in: 1...1024)
    try requireField("dim", dim, in: 1...65_536)
    try requireField("token_mlp_ratio", tokenMLPRatio, in: 1 / Double(dim)...4096)
    try requireField("channel_mlp_ratio", channelMLPRatio, in: 1 / Double(dim)...64)
    try requireField("dropout", dropout, in: 0...1)
    try requireField("drop_path", dropPath, in: 0...1)
    _ = try grid(patch: patchSize)
  }
}

extension MixerConfiguration {
  public static let small16 = MixerConfiguration(depth: 8, dim: 512)
  public static let small32 = small16.with { $0.patchSize = 32 }
  public static let base16 = MixerConfiguration(depth: 12, dim: 768)
  public static let base32 = base16.with { $0.patchSize = 32 }
  public static let large16 = MixerConfiguration(depth: 24, dim: 1024)
  public static let large32 = large16.with { $0.patchSize = 32 }
  public static let huge14 = MixerConfiguration(depth: 32, dim: 1280).with { $0.patchSize = 14 }
}
