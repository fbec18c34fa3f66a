import Layers

/// The settings of a ResMLP; variants are those of tables 1 and 3 of arXiv 2105.03404.
public struct ResMLPConfiguration: VisionConfiguration {
  public var imageSize: ImageSize = 224
  public var patchSize: ImageSize = 16
  public var inputChannels = 3
  public var classes = 1000
  /// The number of blocks.
  public var depth: Int
  public var dim = 384
  /// The width of the channel MLP over `dim`.
  public var mlpRatio = 4.0
  /// What LayerScale starts at; the released code takes 0.1, 1e-5 and 1e-6 for 12, 24, 36 blocks.
  public var layerScale: Double
  /// Class-MLP layers instead of mean pooling; 2 in the paper's variant, 0 for pooling.
  public var classMLPDepth = 0
  public var activation = Activation.gelu
  public var dropout = 0.0
  public var dropPath = 0.0
  /// The same rate in every block, as in the released code.
  public var dropPathRule = DropPathRule.constant

  public init(depth: Int, layerScale: Double) {
    self.depth = depth
    self.layerScale = layerScale
  }

  enum CodingKeys: String, CodingKey {
    case imageSize = "image_size", patchSize = "patch_size", inputChannels = "input_channels"
    case classes, depth, dim, mlpRatio = "mlp_ratio", layerScale = "layer_scale"
    case classMLPDepth = "class_mlp_depth"
    case activation, dropout, dropPath = "drop_path", dropPathRule = "drop_path_rule"
  }

  public func validate() throws {
    try validateCommonFields()
    try requireField("depth", depth, in: 1...1024)
    try requireField("dim", dim, in: 1...65_536)
    try requireField("mlp_ratio", mlpRatio, in: 1 / Double(dim)...64)
    try requireField("layer_scale", layerScale, in: -1e6...1e6)
    try requireField("class_mlp_depth", classMLPDepth, in: 0...64)
    try requireField("dropout", dropout, in: 0...1)
    try requireField("drop_path", dropPath, in: 0...1)
    _ = try grid(patch: patchSize)
  }
}

extension ResMLPConfiguration {
  public static let small12 = ResMLPConfiguration(depth: 12, layerScale: 0.1)
  public static let small24 = ResMLPConfiguration(depth: 24, layerScale: 1e-5)
  public static let small36 = ResMLPConfiguration(depth: 36, layerScale: 1e-6)
  /// B24 with patches of 16; never released.
  public static let big24Patch16 = ResMLPConfiguration(depth: 24, layerScale: 1e-6).with {
    $0.dim = 768
  }
  /// B24/8, the "big" model that is released and that timm calls `resmlp_big_24_224`.
  public static let big24 = big24Patch16.with { $0.patchSize = 8 }
}
