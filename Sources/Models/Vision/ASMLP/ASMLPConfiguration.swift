import Layers
import Torch

/// The settings of an AS-MLP; variants are those of arXiv 2107.08391.
public struct ASMLPConfiguration: VisionConfiguration {
  public var imageSize: ImageSize = 224
  public var patchSize: ImageSize = 4
  public var inputChannels = 3
  public var classes = 1000
  /// The number of blocks in each stage.
  public var depths: [Int]
  /// The channels of the first stage; each further one has twice as many.
  public var dim: Int
  /// The width of the channel MLP over the stage's channels.
  public var mlpRatio = 4.0
  /// How many groups of channels move by different distances; odd.
  public var shiftSize = 5
  /// How many positions lie between one group's distance and the next's.
  public var dilation = 1
  public var padding = PaddingMode.zero
  /// Whether the convolutions around the shifts have a bias; the code's `as_bias`.
  public var axialShiftBias = true
  /// Whether a norm follows the patch embedding.
  public var patchNorm = true
  public var dropout = 0.0
  public var dropPath = 0.0
  public var dropPathRule = DropPathRule.linear

  public init(depths: [Int], dim: Int) {
    self.depths = depths
    self.dim = dim
  }

  enum CodingKeys: String, CodingKey {
    case imageSize = "image_size", patchSize = "patch_size", inputChannels = "input_channels"
    case classes, depths, dim, mlpRatio = "mlp_ratio"
    case shiftSize = "shift_size", dilation, padding
    case axialShiftBias = "as_bias", patchNorm = "patch_norm"
    case dropout, dropPath = "drop_path", dropPathRule = "drop_path_rule"
  }

  /// The channels of each stage.
  var dims: [Int] { depths.indices.map { dim << $0 } }

  func shift(axis: Int) -> ChannelShift {
    ChannelShift(axis: axis, size: shiftSize, dilation: dilation, padding: padding)
  }

  public func validate() throws {
    try validateCommonFields()
    try requireField("the number of depths", depths.count, in: 1...8)
    for depth in depths { try requireField("depths", depth, in: 1...1024) }
    try requireField("dim", dim, in: 1...65_536 >> (depths.count - 1))
    try requireField("mlp_ratio", mlpRatio, in: 1 / Double(dim)...64)
    try requireField("shift_size", shiftSize, in: 1...1023)
    guard shiftSize % 2 == 1 else {
      throw MingleError(
        .usage, "shift_size must be odd", got: "\(shiftSize)",
        next: "the nearest sizes are \(shiftSize - 1) and \(shiftSize + 1)")
    }
    try requireField("dilation", dilation, in: 1...1024)
    try requireField("dropout", dropout, in: 0...1)
    try requireField("drop_path", dropPath, in: 0...1)
    try validateMaps()
  }

  /// Checks that patches tile the image, that merges can halve every map, and that reflections fit.
  private func validateMaps() throws {
    let halvings = depths.count - 1
    let unit = ImageSize(patchSize.height << halvings, patchSize.width << halvings)
    guard imageSize.height % unit.height == 0, imageSize.width % unit.width == 0 else {
      func nearest(_ side: Int, _ unit: Int) -> Int { max(1, (side + unit / 2) / unit) * unit }
      let good = ImageSize(
        nearest(imageSize.height, unit.height), nearest(imageSize.width, unit.width))
      throw MingleError(
        .usage,
        "\(unit) must divide image_size (patch_size \(patchSize), halved \(halvings) times)",
        got: "\(imageSize)", next: "the nearest size is \(good)")
    }
    let smallest = min(imageSize.height / unit.height, imageSize.width / unit.width)
    let offset = shift(axis: 2).largestOffset
    guard padding != .reflect || offset < smallest else {
      let size = ImageSize((offset + 1) * unit.height, (offset + 1) * unit.width)
      throw MingleError(
        .usage, "padding reflect must not shift by more than the last map's sides less 1",
        expected: "at most \(smallest - 1)", got: "\(offset) (shift_size / 2 x dilation)",
        next: smallest > 1
          ? "take dilation 1 with shift_size up to \(2 * smallest - 1), or image_size \(size)"
          : "take image_size \(size), or another padding")
    }
  }
}

extension ASMLPConfiguration {
  public static let mobile = ASMLPConfiguration(depths: [2, 2, 2, 2], dim: 64)
  public static let tiny = ASMLPConfiguration(depths: [2, 2, 6, 2], dim: 96)
  public static let small = ASMLPConfiguration(depths: [2, 2, 18, 2], dim: 96)
  public static let base = small.with { $0.dim = 128 }
}
