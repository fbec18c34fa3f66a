import Layers
import Torch

/// The settings of a vision transformer; variants are those of table 1 of arXiv 2010.11929 and of
/// arXiv 2012.12877.
public struct VisionTransformerConfiguration: VisionConfiguration {
  public var imageSize: ImageSize = 224
  public var patchSize: ImageSize = 16
  public var inputChannels = 3
  public var classes = 1000
  /// The number of blocks.
  public var depth = 12
  public var dim: Int
  /// The number of attention heads; divides `dim`.
  public var heads: Int
  /// The width of the MLP over `dim`.
  public var mlpRatio = 4.0
  /// Whether queries, keys and values have a bias.
  public var qkvBias = true
  public var activation = Activation.gelu
  /// After the position embedding and each linear layer of a block but that of the queries, keys and
  /// values.
  public var dropout = 0.0
  /// On the softmax.
  public var attentionDropout = 0.0
  public var dropPath = 0.0
  public var dropPathRule = DropPathRule.linear

  public init(dim: Int, heads: Int) {
    self.dim = dim
    self.heads = heads
  }

  enum CodingKeys: String, CodingKey {
    case imageSize = "image_size", patchSize = "patch_size", inputChannels = "input_channels"
    case classes, depth, dim, heads, mlpRatio = "mlp_ratio", qkvBias = "qkv_bias", activation
    case dropout, attentionDropout = "attention_dropout"
    case dropPath = "drop_path", dropPathRule = "drop_path_rule"
  }

  public func validate() throws {
    try validateCommonFields()
    try requireField("depth", depth, in: 1...1024)
    try requireField("dim", dim, in: 1...65_536)
    try requireHeads(heads, dividing: dim)
    try requireField("mlp_ratio", mlpRatio, in: 1 / Double(dim)...64)
    try requireField("dropout", dropout, in: 0...1)
    try requireField("attention_dropout", attentionDropout, in: 0...1)
    try requireField("drop_path", dropPath, in: 0...1)
    _ = try grid(patch: patchSize)
  }
}

extension VisionTransformerConfiguration {
  public static let tiny16 = VisionTransformerConfiguration(dim: 192, heads: 3)
  public static let small16 = VisionTransformerConfiguration(dim: 384, heads: 6)
  public static let base16 = VisionTransformerConfiguration(dim: 768, heads: 12)
}

/// - Throws: `MingleError` unless `heads` heads share `dim` channels equally; names the nearest
///   number that does.
func requireHeads(_ heads: Int, dividing dim: Int) throws {
  try requireField("heads", heads, in: 1...65_536)
  guard dim % heads != 0 else { return }
  let near = (1...dim).filter { dim % $0 == 0 }.min { abs($0 - heads) < abs($1 - heads) } ?? 1
  throw MingleError(
    .usage, "heads \(heads) must divide dim \(dim)", next: "the nearest number is \(near)")
}
