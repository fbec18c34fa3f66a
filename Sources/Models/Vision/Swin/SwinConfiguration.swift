import Layers
import Torch

/// The settings of a Swin Transformer; variants are those of section 3.3 of arXiv 2103.14030.
public struct SwinConfiguration: VisionConfiguration {
  public var imageSize: ImageSize = 224
  public var patchSize: ImageSize = 4
  public var inputChannels = 3
  public var classes = 1000
  /// The number of blocks of each stage.
  public var depths: [Int]
  /// The channels of the first stage; each later one has twice as many as the one before.
  public var dim: Int
  /// The number of attention heads of each stage; divides its channels.
  public var heads: [Int]
  /// The tokens that attend to each other, one size for all stages or one for each.
  public var windowSize: [ImageSize] = [7]
  /// Keeps windows and shifts as they are where a map is not larger than its window; then no weight
  /// depends on the image size.
  public var alwaysPartition = false
  /// The width of the MLP over the channels.
  public var mlpRatio = 4.0
  /// Whether queries, keys and values have a bias.
  public var qkvBias = true
  public var activation = Activation.gelu
  /// After each linear layer of a block but that of the queries, keys and values.
  public var dropout = 0.0
  /// On the softmax.
  public var attentionDropout = 0.0
  public var dropPath = 0.0
  public var dropPathRule = DropPathRule.linear

  public init(depths: [Int], dim: Int, heads: [Int]) {
    self.depths = depths
    self.dim = dim
    self.heads = heads
  }

  enum CodingKeys: String, CodingKey {
    case imageSize = "image_size", patchSize = "patch_size", inputChannels = "input_channels"
    case classes, depths, dim, heads, windowSize = "window_size"
    case alwaysPartition = "always_partition", mlpRatio = "mlp_ratio", qkvBias = "qkv_bias"
    case activation, dropout, attentionDropout = "attention_dropout"
    case dropPath = "drop_path", dropPathRule = "drop_path_rule"
  }

  public func validate() throws {
    try validateCommonFields()
    try requireField("number of depths", depths.count, in: 1...8)
    for depth in depths { try requireField("depths", depth, in: 1...1024) }
    try requireField("dim", dim, in: 1...8192)
    try requireLength("heads", heads, stages: depths.count)
    for (stage, heads) in heads.enumerated() { try requireHeads(heads, dividing: dim << stage) }
    if windowSize.count != 1 { try requireLength("window_size", windowSize, stages: depths.count) }
    for window in windowSize {
      try requireField("window_size", max(window.height, window.width), in: 1...64)
    }
    try requireField("mlp_ratio", mlpRatio, in: 1 / Double(dim)...64)
    try requireField("dropout", dropout, in: 0...1)
    try requireField("attention_dropout", attentionDropout, in: 0...1)
    try requireField("drop_path", dropPath, in: 0...1)
    _ = try grid(patch: patchSize)
  }
}

extension SwinConfiguration {
  public static let tiny = SwinConfiguration(depths: [2, 2, 6, 2], dim: 96, heads: [3, 6, 12, 24])
  public static let small = tiny.with { $0.depths = [2, 2, 18, 2] }
  public static let base = small.with {
    $0.dim = 128
    $0.heads = [4, 8, 16, 32]
  }
}
