import Layers
import Torch

/// The settings of a Vision Permutator; variants are those of table 1 of arXiv 2106.12368 with the
/// depths of the released code.
///
/// The lists have one value for each stage, as many as `depths`.
public struct VisionPermutatorConfiguration: VisionConfiguration {
  public var imageSize: ImageSize = 224
  public var patchSize: ImageSize = 7
  public var inputChannels = 3
  public var classes = 1000
  /// The number of blocks of each stage.
  public var depths: [Int]
  /// The channels C of each stage.
  public var dims: [Int]
  /// The paper's N: into how many segments each stage cuts the channels. The permutation needs as
  /// many as the stage's grid has rows and columns.
  public var segments: [Int]
  /// Whether a stage is followed by a 2 x 2 convolution of stride 2; the last entry has no effect.
  /// Where only the width changes the convolution is 1 x 1.
  public var transitions: [Bool]
  /// The width of the channel MLP over C, for all stages or each.
  public var mlpRatio: PerStage = 3.0
  /// Weighted Permute-MLP; else the plain sum of the three branches.
  public var weighted = true
  /// Whether the three branches have biases (the reference code's word).
  public var branchBias = false
  /// What residual branches are divided by (the reference code's word).
  public var skipDivisor = 1.0
  public var dropout = 0.0
  public var dropPath = 0.0
  public var dropPathRule = DropPathRule.linear

  public init(depths: [Int], dims: [Int], segments: [Int], transitions: [Bool]) {
    self.depths = depths
    self.dims = dims
    self.segments = segments
    self.transitions = transitions
  }

  enum CodingKeys: String, CodingKey {
    case imageSize = "image_size", patchSize = "patch_size", inputChannels = "input_channels"
    case classes, depths, dims, segments, transitions, mlpRatio = "mlp_ratio", weighted
    case branchBias = "qkv_bias", skipDivisor = "skip_lam"
    case dropout, dropPath = "drop_path", dropPathRule = "drop_path_rule"
  }

  public func validate() throws {
    try validateCommonFields()
    let stages = depths.count
    try requireField("the number of depths", stages, in: 1...64)
    try requireList("depths", depths, stages: stages, in: 1...1024)
    // The reweighting MLP is dim / 4 wide.
    try requireList("dims", dims, stages: stages, in: (weighted ? 4 : 1)...65_536)
    try requireList("segments", segments, stages: stages, in: 1...16_384)
    try requireList("transitions", transitions.map { $0 ? 1 : 0 }, stages: stages, in: 0...1)
    if mlpRatio.values.count != 1 {
      try requireList("mlp_ratio", mlpRatio.values, stages: stages, in: 0...64)
    }
    for (stage, dim) in dims.enumerated() {
      try requireField("mlp_ratio", mlpRatio[stage], in: 1 / Double(dim)...64)
    }
    try requireField("skip_lam", skipDivisor, in: 1e-6...1e6)
    try requireField("dropout", dropout, in: 0...1)
    try requireField("drop_path", dropPath, in: 0...1)
    try validateGrid()
  }

  /// The grid of tokens of each stage; convolutions leave out what does not fill a patch.
  var grids: [ImageSize] {
    var grid = ImageSize(imageSize.height / patchSize.height, imageSize.width / patchSize.width)
    return transitions.map { halves in
      defer { if halves { grid = ImageSize(grid.height / 2, grid.width / 2) } }
      return grid
    }
  }

  /// Throws unless each stage's grid has as many rows and columns as segments, which divide the dim.
  private func validateGrid() throws {
    let grids = grids
    guard grids.map(\.height) == segments, grids.map(\.width) == segments else {
      let good = ImageSize(segments[0] * patchSize.height, segments[0] * patchSize.width)
      let isGood = with { $0.imageSize = good }.grids.map(\.height) == segments
      let fits = grids.allSatisfy { $0.height == $0.width && $0.height > 0 }
      let list = grids.map { "\($0.height)" }.joined(separator: ",")
      let steps = [
        isGood ? "the nearest image_size for these segments is \(good)" : nil,
        fits ? "segments=\(list) fit image_size \(imageSize)" : nil,
      ].compactMap { $0 }
      throw MingleError(
        .usage, "segments must equal the rows and the columns of each stage's grid of patches",
        expected: grids.map { "\($0.height)x\($0.width)" }.joined(separator: ", ")
          + " at image_size \(imageSize)",
        got: segments.map { "\($0)" }.joined(separator: ","),
        next: steps.isEmpty
          ? "take a square image_size, and its grid's sides as segments"
          : steps.joined(separator: "; "))
    }
    for (dim, count) in zip(dims, segments) where dim % count != 0 {
      throw MingleError(
        .usage, "segments must divide dims", expected: "a multiple of \(count)", got: "\(dim)",
        next: "the nearest is \(max(1, (dim + count / 2) / count) * count)")
    }
  }
}

extension VisionPermutatorConfiguration {
  public static let small7 = VisionPermutatorConfiguration(
    depths: [4, 3, 8, 3], dims: [192, 384, 384, 384], segments: [32, 16, 16, 16],
    transitions: [true, false, false, false])
  /// One resolution throughout.
  public static let small14 = small7.with {
    $0.patchSize = 14
    $0.dims = [384, 384, 384, 384]
    $0.segments = [16, 16, 16, 16]
    $0.transitions = [false, false, false, false]
  }
  public static let medium7 = VisionPermutatorConfiguration(
    depths: [4, 3, 14, 3], dims: [256, 256, 512, 512], segments: [32, 32, 16, 16],
    transitions: [false, true, false, false])
  public static let large7 = VisionPermutatorConfiguration(
    depths: [8, 8, 16, 4], dims: [256, 512, 512, 512], segments: [32, 16, 16, 16],
    transitions: [true, false, false, false])
}
