import Layers
import Torch

/// The settings of a gMLP for images; variants are those of table 1 of arXiv 2105.08050.
public struct GatedMLPConfiguration: VisionConfiguration {
  public var imageSize: ImageSize = 224
  public var patchSize: ImageSize = 16
  public var inputChannels = 3
  public var classes = 1000
  /// The number of blocks, the paper's L.
  public var depth = 30
  /// The paper's d_model.
  public var dim: Int
  /// The width inside a block over `dim`: the paper's d_ffn / d_model.
  public var mlpRatio = 6.0
  public var activation = Activation.gelu
  public var dropout = 0.0
  /// One minus the paper's survival probability.
  public var dropPath: Double
  /// The paper does not say how the rate depends on depth; constant as in timm.
  public var dropPathRule = DropPathRule.constant

  public init(dim: Int, dropPath: Double = 0) {
    self.dim = dim
    self.dropPath = dropPath
  }

  enum CodingKeys: String, CodingKey {
    case imageSize = "image_size", patchSize = "patch_size", inputChannels = "input_channels"
    case classes, depth, dim, mlpRatio = "mlp_ratio"
    case activation, dropout, dropPath = "drop_path", dropPathRule = "drop_path_rule"
  }

  /// The width inside a block; its halves are the gate and what it gates.
  var hidden: Int { Int(mlpRatio * Double(dim)) }

  public func validate() throws {
    try validateCommonFields()
    try requireField("depth", depth, in: 1...1024)
    try requireField("dim", dim, in: 1...65_536)
    try requireField("mlp_ratio", mlpRatio, in: 2 / Double(dim)...64)
    guard hidden % 2 == 0 else {
      throw MingleError(
        .usage, "mlp_ratio times dim must be even, for the gate splits it in halves",
        got: "\(hidden)")
    }
    try requireField("dropout", dropout, in: 0...1)
    try requireField("drop_path", dropPath, in: 0...1)
    _ = try grid(patch: patchSize)
  }
}

extension GatedMLPConfiguration {
  public static let tiny16 = GatedMLPConfiguration(dim: 128)
  public static let small16 = GatedMLPConfiguration(dim: 256, dropPath: 0.05)
  public static let base16 = GatedMLPConfiguration(dim: 512, dropPath: 0.2)
}
