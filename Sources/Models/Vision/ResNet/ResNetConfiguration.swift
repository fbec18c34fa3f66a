import Layers

/// The settings of a ResNet; variants are those of table 1 of arXiv 1512.03385. Lists have one value
/// for each of the four stages.
public struct ResNetConfiguration: VisionConfiguration {
  /// What a residual branch is made of.
  public enum Block: String, Codable, Sendable, CaseIterable {
    /// Two convolutions of size 3.
    case basic
    /// Convolutions of size 1, 3 and 1, the last with four times the channels.
    case bottleneck

    /// The channels after a block over the stage's.
    var expansion: Int { self == .basic ? 1 : 4 }
  }

  public var imageSize: ImageSize = 224
  public var inputChannels = 3
  public var classes = 1000
  public var block: Block
  /// The numbers of blocks.
  public var depths: [Int]
  /// The numbers of channels, before a bottleneck's expansion.
  public var dims = [64, 128, 256, 512]
  /// The number of channels of the first convolution.
  public var stemDim = 64
  /// For the vector that enters the classifier.
  public var dropout = 0.0
  public var dropPath = 0.0
  public var dropPathRule = DropPathRule.linear

  public init(_ block: Block, depths: [Int]) {
    self.block = block
    self.depths = depths
  }

  enum CodingKeys: String, CodingKey {
    case imageSize = "image_size", inputChannels = "input_channels", classes, block, depths, dims
    case stemDim = "stem_dim", dropout, dropPath = "drop_path", dropPathRule = "drop_path_rule"
  }

  public func validate() throws {
    try validateCommonFields()
    try requireList("depths", depths, stages: 4, in: 1...1024)
    try requireList("dims", dims, stages: 4, in: 1...16_384)
    try requireField("stem_dim", stemDim, in: 1...16_384)
    try requireField("dropout", dropout, in: 0...1)
    try requireField("drop_path", dropPath, in: 0...1)
  }
}

extension ResNetConfiguration {
  public static let layers18 = ResNetConfiguration(.basic, depths: [2, 2, 2, 2])
  public static let layers50 = ResNetConfiguration(.bottleneck, depths: [3, 4, 6, 3])
  public static let layers152 = ResNetConfiguration(.bottleneck, depths: [3, 8, 36, 3])
}
