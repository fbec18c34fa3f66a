import Layers
import Torch

/// The settings of an NFNet; the variant is F0 of arXiv 2102.06171.
///
/// `depths` and `dims` have one value for each stage. All widths are rounded to multiples of 8.
public struct NFNetConfiguration: VisionConfiguration {
  public var imageSize: ImageSize = 192
  public var inputChannels = 3
  public var classes = 1000
  /// The numbers of blocks.
  public var depths = [1, 2, 6, 3]
  /// The channels, before the multiplier.
  public var dims = [256, 512, 1536, 1536]
  /// What all channel numbers are multiplied with.
  public var widthMultiplier = 1.0
  /// The channels after the stem, before the multiplier.
  public var stemDim = 128
  /// The channels of the last convolution, before the multiplier.
  public var featureDim = 3072
  /// The inner width of a block over its outer.
  public var bottleneckRatio = 0.5
  /// The channels of each group of the 3 x 3 convolutions; 0 for a single group.
  public var groupSize = 128
  /// Whether a block has two 3 x 3 convolutions, not one.
  public var extraConvolution = true
  /// The width of the squeeze-and-excitation over a block's outer.
  public var squeezeRatio = 0.5
  /// What the squeeze-and-excitation's gate is multiplied with.
  public var attentionGain = 2.0
  /// What a block's branch is multiplied with: the growth of the signal's deviation.
  public var alpha = 0.2
  public var activation = Activation.gelu
  /// What keeps the weights' standardisation from dividing by 0.
  public var normEpsilon = 1e-5
  /// Dropout before the classifier.
  public var dropout = 0.0
  public var dropPath = 0.0
  public var dropPathRule = DropPathRule.linear

  public init() {}

  enum CodingKeys: String, CodingKey {
    case imageSize = "image_size", inputChannels = "input_channels", classes, depths, dims
    case widthMultiplier = "width_multiplier", stemDim = "stem_dim", featureDim = "feature_dim"
    case bottleneckRatio = "bottleneck_ratio", groupSize = "group_size"
    case extraConvolution = "extra_convolution", squeezeRatio = "squeeze_ratio"
    case attentionGain = "attention_gain", alpha, activation, normEpsilon = "norm_epsilon"
    case dropout, dropPath = "drop_path", dropPathRule = "drop_path_rule"
  }

  public func validate() throws {
    try validateCommonFields()
    try requireField("depths' length", depths.count, in: 1...64)
    try requireLength("dims", dims, stages: depths.count)
    try requireField("width_multiplier", widthMultiplier, in: 1e-3...64)
    for depth in depths { try requireField("depths", depth, in: 1...1024) }
    try requireField("depths' sum", depths.reduce(0, +), in: 1...4096)
    for dim in dims { try requireField("dims", dim, in: 1...65_536) }
    try requireField("stem_dim", stemDim, in: 1...65_536)
    try requireField("feature_dim", featureDim, in: 1...65_536)
    try requireField("bottleneck_ratio", bottleneckRatio, in: 1e-3...64)
    try requireField("group_size", groupSize, in: 0...65_536)
    for dim in dims { try requireGroups(inside: dim) }
    try requireField("squeeze_ratio", squeezeRatio, in: 0...64)
    try requireField("attention_gain", attentionGain, in: -1e6...1e6)
    try requireField("alpha", alpha, in: 0...1e3)
    try requireField("norm_epsilon", normEpsilon, in: 0...1)
    try requireField("dropout", dropout, in: 0...1)
    try requireField("drop_path", dropPath, in: 0...1)
  }

  /// - Throws: `MingleError` unless the inner channels of blocks of width `dim` fall into groups.
  private func requireGroups(inside dim: Int) throws {
    let inner = inner(dim)
    guard inner.groups > 0, inner.channels % inner.groups == 0 else {
      let narrowest = dims.map(innerChannels).min() ?? 8
      let nearest = min(narrowest, roundedChannels(Double(groupSize), limit: 0))
      throw MingleError(
        .usage, "group_size must tile the inner channels of each stage",
        expected: "a multiple of 8 up to \(narrowest), a divisor of each, or 0 for one group",
        got: "\(groupSize), for \(innerChannels(dim)) channels",
        next: "the nearest is \(nearest)")
    }
  }
}

extension NFNetConfiguration {
  public static let f0 = NFNetConfiguration()
}

/// What the multiplier and the rounding make of the settings.
extension NFNetConfiguration {
  var stemChannels: Int { scaled(stemDim) }
  var featureChannels: Int { scaled(featureDim) }

  func scaled(_ channels: Int) -> Int { roundedChannels(Double(channels) * widthMultiplier) }

  /// The inner channels of a block of width `dim` and the groups that they fall into.
  func inner(_ dim: Int) -> (channels: Int, groups: Int) {
    let channels = innerChannels(dim)
    guard groupSize > 0 else { return (channels, 1) }
    let groups = channels / groupSize
    return (groupSize % 8 == 0 ? groupSize * groups : channels, groups)
  }

  private func innerChannels(_ dim: Int) -> Int {
    roundedChannels(Double(scaled(dim)) * bottleneckRatio)
  }

  /// The width of the squeeze-and-excitation of a block of width `dim`.
  func squeezed(_ dim: Int) -> Int {
    roundedChannels(Double(scaled(dim)) * squeezeRatio, limit: 0)
  }

  /// What the activation is multiplied with so that it keeps a unit normal's variance
  /// (Brock et al. 2021, arXiv 2101.08692).
  var activationGain: Double {
    switch activation {
    case .gelu, .geluTanh: 1.7015043497085571
    case .relu: 1.7139588594436646
    case .silu: 1.7881293296813965
    }
  }
}
