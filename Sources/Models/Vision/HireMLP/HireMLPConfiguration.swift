import Layers
import Torch

/// The settings of a Hire-MLP; variants are those of table 1 of arXiv 2108.13341. Lists have one
/// value for each stage.
public struct HireMLPConfiguration: VisionConfiguration {
  public var imageSize: ImageSize = 224
  public var inputChannels = 3
  public var classes = 1000
  /// The numbers of blocks; as many as there are stages.
  public var depths: [Int]
  /// The numbers of channels.
  public var dims: [Int]
  /// The width of the channel MLP over the stage's channels: one for each stage, or one for all.
  public var mlpRatio = [4.0]
  /// The rows (columns) of a region, whose positions are mixed: the paper's h and w.
  public var regions = [4, 3, 3, 2]
  /// After how many blocks the shifts across regions start again from 0.
  public var stepStrides = [2, 2, 3, 2]
  /// By how much the shift grows from block to block: block j shifts by `(j mod stride) * dilation`.
  public var stepDilations = [2, 2, 1, 1]
  /// What fills the last region where regions do not tile the map.
  public var padding = PaddingMode.circular
  /// `circular` shifts around the map and back; `zero` shifts zeros in, and not back (released code).
  public var stepPadding = PaddingMode.circular
  public var dropout = 0.0
  public var dropPath = 0.0
  public var dropPathRule = DropPathRule.linear

  public init(depths: [Int], dims: [Int] = [64, 128, 320, 512], dropPath: Double = 0) {
    self.depths = depths
    self.dims = dims
    self.dropPath = dropPath
  }

  enum CodingKeys: String, CodingKey {
    case imageSize = "image_size", inputChannels = "input_channels", classes, depths, dims
    case mlpRatio = "mlp_ratio", regions
    case stepStrides = "step_strides", stepDilations = "step_dilations"
    case padding, stepPadding = "step_padding"
    case dropout, dropPath = "drop_path", dropPathRule = "drop_path_rule"
  }

  /// The width of the channel MLP in stage `index`.
  func hidden(_ index: Int) -> Int {
    Int((mlpRatio.count == 1 ? mlpRatio[0] : mlpRatio[index]) * Double(dims[index]))
  }

  /// The shift of block `block` in stage `index`.
  func step(_ index: Int, block: Int) -> Int { block % stepStrides[index] * stepDilations[index] }

  public func validate() throws {
    try validateCommonFields()
    try requireField("the number of stages in depths", depths.count, in: 1...8)
    let stages = depths.count
    try requireList("depths", depths, stages: stages, in: 1...1024)
    try requireList("dims", dims, stages: stages, in: 4...65_536)
    try requireList("mlp_ratio", mlpRatio, stages: mlpRatio.count == 1 ? 1 : stages, in: 0...64)
    for index in 0..<stages {
      try requireField("the MLP's width, mlp_ratio times dims,", hidden(index), in: 1...4_194_304)
    }
    try requireList("regions", regions, stages: stages, in: 1...1024)
    try requireList("step_strides", stepStrides, stages: stages, in: 1...1024)
    try requireList("step_dilations", stepDilations, stages: stages, in: 0...1024)
    guard stepPadding == .circular || stepPadding == .zero else {
      throw MingleError(
        .usage, "step_padding is not known", expected: "circular or zero",
        got: stepPadding.rawValue)
    }
    try requireField("dropout", dropout, in: 0...1)
    try requireField("drop_path", dropPath, in: 0...1)
    try validateImageSize()
  }
}

// MARK: - Image sizes

extension HireMLPConfiguration {
  /// Rows (or columns) of each stage's map for an image of so many.
  func stageSizes(side: Int) -> [Int] {
    var size = (side + 2 * 2 - 7) / 4 + 1  // the stem: kernel 7, stride 4, padding 2
    return depths.indices.map { index in
      if index > 0 { size = (size - 1) / 2 + 1 }  // kernel 3, stride 2, padding 1
      return size
    }
  }

  /// The first stage whose map has too few rows to be padded to whole regions; -1 for the stem.
  private func misfit(side: Int) -> Int? {
    side < 3
      ? -1
      : zip(stageSizes(side: side), regions).enumerated().first { _, stage in
        let (size, region) = stage
        return (region - size % region) % region > padding.limit(size: size)
      }?.offset
  }

  private func validateImageSize() throws {
    for side in [imageSize.height, imageSize.width] {
      guard let stage = misfit(side: side) else { continue }
      let reason =
        stage < 0
        ? "the stem needs 3 rows and columns"
        : "a map of \(stageSizes(side: side)[stage]) cannot be padded (\(padding.rawValue)) "
          + "to regions of \(regions[stage]) in stage \(stage + 1)"
      throw MingleError(
        .usage, "image_size does not fit: \(reason)", got: "\(imageSize)",
        next: nearestImageSize.map { "the nearest size is \($0)" } ?? "choose smaller regions")
    }
  }

  private var nearestImageSize: ImageSize? {
    func nearest(_ side: Int) -> Int? {
      (0...16_384).lazy.flatMap { [side - $0, side + $0] }
        .first { (1...16_384).contains($0) && misfit(side: $0) == nil }
    }
    guard let height = nearest(imageSize.height), let width = nearest(imageSize.width) else {
      return nil
    }
    return ImageSize(height, width)
  }
}

extension HireMLPConfiguration {
  public static let tiny = HireMLPConfiguration(depths: [2, 2, 4, 2])
  public static let small = HireMLPConfiguration(depths: [3, 4, 10, 3])
  public static let base = HireMLPConfiguration(depths: [4, 6, 24, 3], dropPath: 0.2)
  public static let large = base.with { $0.dims = [96, 192, 384, 768] }
}
