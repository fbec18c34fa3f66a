import Layers
import Torch

/// The settings of an EfficientNet; variants are two of those of arXiv 1905.11946.
///
/// The lists have one value for each stage.
public struct EfficientNetConfiguration: VisionConfiguration {
  public var imageSize: ImageSize = 224
  public var inputChannels = 3
  public var classes = 1000
  /// What all channel numbers are multiplied with, to be rounded to multiples of 8.
  public var widthMultiplier = 1.0
  /// What the numbers of blocks are multiplied with, to be rounded up.
  public var depthMultiplier = 1.0
  /// The channels of the first convolution, before the multiplier.
  public var stemDim = 32
  /// The numbers of blocks, before the multiplier.
  public var depths = [1, 2, 2, 3, 3, 4, 1]
  /// The channels, before the multiplier.
  public var dims = [16, 24, 40, 80, 112, 192, 320]
  /// The sides of the depthwise convolutions.
  public var kernels = [3, 3, 5, 3, 5, 5, 3]
  /// The strides of the stages' first blocks.
  public var strides = [1, 2, 2, 2, 1, 2, 1]
  /// The inner width of a block over its input's; blocks with 1 do not widen.
  public var expansions = [1, 6, 6, 6, 6, 6, 6]
  /// The channels of the last convolution, before the multiplier.
  public var featureDim = 1280
  /// The width of the squeeze-and-excitation over the channels that enter a block; 0 for none.
  public var squeezeRatio = 0.25
  public var activation = Activation.silu
  /// The share of the batch's statistics in the running ones.
  public var normMomentum = 0.1
  public var normEpsilon = 1e-5
  /// Dropout before the classifier.
  public var dropout = 0.0
  public var dropPath = 0.0
  /// `linear`: the rate of block `i` of `n` is `i / n` of `dropPath`.
  public var dropPathRule = DropPathRule.linear

  public init() {}

  enum CodingKeys: String, CodingKey {
    case imageSize = "image_size", inputChannels = "input_channels", classes
    case widthMultiplier = "width_multiplier", depthMultiplier = "depth_multiplier"
    case stemDim = "stem_dim", depths, dims, kernels, strides, expansions
    case featureDim = "feature_dim", squeezeRatio = "squeeze_ratio", activation
    case normMomentum = "norm_momentum", normEpsilon = "norm_epsilon"
    case dropout, dropPath = "drop_path", dropPathRule = "drop_path_rule"
  }

  public func validate() throws {
    try validateCommonFields()
    try requireField("depths' length", depths.count, in: 1...64)
    let lists = [
      ("dims", dims), ("kernels", kernels), ("strides", strides), ("expansions", expansions),
    ]
    for (field, list) in lists { try requireLength(field, list, stages: depths.count) }

    try requireField("width_multiplier", widthMultiplier, in: 1e-3...64)
    try requireField("depth_multiplier", depthMultiplier, in: 1e-3...64)
    try requireField("stem_dim", stemDim, in: 1...65_536)
    try requireField("feature_dim", featureDim, in: 1...65_536)
    for depth in depths { try requireField("depths", depth, in: 1...1024) }
    try requireField("depths' sum", depths.indices.map(blockCount).reduce(0, +), in: 1...4096)
    for dim in dims { try requireField("dims", dim, in: 1...65_536) }
    for kernel in kernels {
      try requireField("kernels", kernel, in: 1...63)
      guard kernel % 2 == 1 else {
        throw MingleError(
          .usage, "kernels must be odd", got: "\(kernel)",
          next: "the nearest are \(kernel - 1) and \(kernel + 1)")
      }
    }
    for stride in strides { try requireField("strides", stride, in: 1...16) }
    for expansion in expansions { try requireField("expansions", expansion, in: 1...64) }
    try requireField("squeeze_ratio", squeezeRatio, in: 0...64)
    if squeezeRatio > 0 {
      let narrowest = blocks.joined().map(\.squeezed).min() ?? 1
      guard narrowest >= 1 else {
        throw MingleError(
          .usage, "squeeze_ratio leaves a block no channels", expected: "0 for none, or more",
          got: "\(squeezeRatio)", next: "the default is 0.25")
      }
    }
    try requireField("norm_momentum", normMomentum, in: 0...1)
    try requireField("norm_epsilon", normEpsilon, in: 0...1)
    try requireField("dropout", dropout, in: 0...1)
    try requireField("drop_path", dropPath, in: 0...1)
  }
}

extension EfficientNetConfiguration {
  public static let b0 = EfficientNetConfiguration()
  /// At the size that timm trains it with; the paper's is 300.
  public static let b3 = b0.with {
    $0.imageSize = 288
    $0.widthMultiplier = 1.2
    $0.depthMultiplier = 1.4
  }
}

/// What the multipliers make of the settings.
extension EfficientNetConfiguration {
  /// The shape of one block.
  struct Block {
    let inputs: Int, outputs: Int
    let kernel: Int, stride: Int
    let expansion: Int
    /// The width of the squeeze-and-excitation; 0 for none.
    let squeezed: Int
    /// The probability that its branch is skipped in training.
    var dropPath = 0.0

    /// The width of the depthwise convolution.
    var hidden: Int { inputs * expansion }
  }

  var stemChannels: Int { scaled(stemDim) }
  var featureChannels: Int { scaled(featureDim) }

  /// All blocks, stage by stage.
  var blocks: [[Block]] {
    var inputs = stemChannels
    var stages = depths.indices.map { stage in
      (0..<blockCount(stage)).map { index in
        let (outputs, expansion) = (scaled(dims[stage]), expansions[stage])
        defer { inputs = outputs }
        let squeezed = Double(inputs * expansion) * (squeezeRatio / Double(expansion))
        return Block(
          inputs: inputs, outputs: outputs, kernel: kernels[stage],
          stride: index == 0 ? strides[stage] : 1, expansion: expansion,
          squeezed: Int(squeezed.rounded(.toNearestOrEven)))
      }
    }
    let count = stages.joined().count
    var rates = dropPathRule.rates(dropPath, depth: count + 1)[...]  // i / count, not / (count - 1)
    for stage in stages.indices {
      for index in stages[stage].indices { stages[stage][index].dropPath = rates.removeFirst() }
    }
    return stages
  }

  /// The number of blocks of a stage.
  private func blockCount(_ stage: Int) -> Int {
    Int((Double(depths[stage]) * depthMultiplier).rounded(.up))
  }

  private func scaled(_ channels: Int) -> Int {
    roundedChannels(Double(channels) * widthMultiplier)
  }
}
