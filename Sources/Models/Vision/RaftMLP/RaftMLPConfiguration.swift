import Layers
import Torch

/// The settings of a RaftMLP; variants are those of arXiv 2108.04384 and its released code.
///
/// The lists have one value for each level, as many as `depths`.
public struct RaftMLPConfiguration: VisionConfiguration {
  /// How a level makes tokens of the map before it.
  public enum Embedding: String, Codable, Sendable, CaseIterable {
    /// From patches of several sizes around the same centre.
    case multiScale = "multi_scale"
    /// From patches side by side.
    case plain
  }

  /// What the token mixing mixes.
  public enum TokenMixing: String, Codable, Sendable, CaseIterable {
    /// Columns, then rows, each together with the channels of a raft.
    case raft
    /// All positions at once, each channel alone: the paper's own MLP-Mixer.
    case joint
  }

  public var imageSize: ImageSize = 224
  /// The image size that fixes the grids of the token mixing; nil for `imageSize`. Maps of other sizes
  /// are resampled to these grids and back.
  @NullableField public var trainingSize: ImageSize? = nil
  public var inputChannels = 3
  public var classes = 1000
  /// The stride of each level's embedding, and the smallest of its patches.
  public var patchSizes: [Int]
  /// The patches of each level's multi-scale embedding, without effect on a plain one.
  public var kernels: [PatchSizes]
  /// The number of blocks of each level.
  public var depths: [Int]
  /// The channels C of each level.
  public var dims: [Int]
  /// The paper's r: how many channels of a position each level mixes together with a row or column.
  public var raftSizes: [Int]
  /// The width of the token-mixing MLPs over their input.
  public var tokenMLPRatio = 2.0
  /// The width of the channel-mixing MLP over C.
  public var channelMLPRatio = 4.0
  public var embedding = Embedding.multiScale
  public var tokenMixing = TokenMixing.raft
  /// Whether all levels reach the classifier, not the last alone.
  public var shortcut = false
  public var dropout = 0.0
  public var dropPath = 0.0
  /// The same rate in every block, as in the released code.
  public var dropPathRule = DropPathRule.constant

  public init(
    patchSizes: [Int], kernels: [PatchSizes], depths: [Int], dims: [Int], raftSizes: [Int]
  ) {
    self.patchSizes = patchSizes
    self.kernels = kernels
    self.depths = depths
    self.dims = dims
    self.raftSizes = raftSizes
  }

  enum CodingKeys: String, CodingKey {
    case imageSize = "image_size", trainingSize = "training_size"
    case inputChannels = "input_channels", classes, patchSizes = "patch_sizes", kernels, depths,
      dims
    case raftSizes = "raft_sizes", tokenMLPRatio = "token_mlp_ratio"
    case channelMLPRatio = "channel_mlp_ratio", embedding, tokenMixing = "token_mixing", shortcut
    case dropout, dropPath = "drop_path", dropPathRule = "drop_path_rule"
  }

  public func validate() throws {
    try validateCommonFields()
    let size = trainingSize ?? imageSize
    try requireField("training_size", max(size.height, size.width), in: 1...16_384)
    let levels = depths.count
    try requireField("the number of depths", levels, in: 1...64)
    try requireList("depths", depths, stages: levels, in: 1...1024)
    try requireList("dims", dims, stages: levels, in: 1...65_536)
    try requireList("patch_sizes", patchSizes, stages: levels, in: 1...256)
    try requireList("raft_sizes", raftSizes, stages: levels, in: 1...65_536)
    try requireField("token_mlp_ratio", tokenMLPRatio, in: 1 / Double(shortestVector)...4096)
    try requireField(
      "channel_mlp_ratio", channelMLPRatio, in: 1 / Double(dims.min() ?? 1)...64)
    try requireField("dropout", dropout, in: 0...1)
    try requireField("drop_path", dropPath, in: 0...1)
    if tokenMixing == .raft { try validateRafts() }
    if embedding == .multiScale { try validateKernels(levels: levels) }
  }

  private func validateRafts() throws {
    for (dim, raft) in zip(dims, raftSizes) where dim % raft != 0 {
      throw MingleError(
        .usage, "raft_sizes must divide dims", expected: "a divisor of \(dim)", got: "\(raft)",
        next: "the nearest is \(nearestDivisor(of: dim, to: raft))")
    }
  }

  private func nearestDivisor(of dim: Int, to raft: Int) -> Int {
    (1...dim).filter { dim % $0 == 0 }.min { abs($0 - raft) < abs($1 - raft) } ?? 1
  }

  private func validateKernels(levels: Int) throws {
    guard kernels.count == levels else {
      throw MingleError(
        .usage, "kernels must have the patches of each level",
        expected: "\(levels) such as 4+8, as many as depths", got: "\(kernels.count)")
    }
    for (kernels, patch) in zip(kernels, patchSizes) {
      let rule = "the patches of a level must start with its patch size, the smallest"
      guard kernels.sizes.first == patch else {
        throw MingleError(
          .usage, "\(rule), in kernels", expected: "\(patch) or \(patch)+...", got: "\(kernels)")
      }
      for kernel in kernels.sizes {
        try requireField("kernels", kernel, in: patch...1024)
        // Patches around the same centre have margins of the same size on both sides.
        let step = patch % 2 == 0 ? patch : 2 * patch
        guard (kernel - patch) % step == 0 else {
          let good = patch + (kernel - patch + step / 2) / step * step
          throw MingleError(
            .usage, "kernels must be multiples of the patch size, with equal margins around it",
            expected: "\(patch), \(patch + step), \(patch + 2 * step), ...", got: "\(kernel)",
            next: "the nearest is \(good)")
        }
      }
    }
  }

  /// The grid of tokens of each level for images of `size`; each level rounds up.
  func grids(for size: ImageSize) -> [ImageSize] {
    var grid = size
    return patchSizes.map { patch in
      grid = ImageSize((grid.height + patch - 1) / patch, (grid.width + patch - 1) / patch)
      return grid
    }
  }

  /// The length of the shortest vector that the token mixing mixes.
  private var shortestVector: Int {
    let lengths = zip(grids(for: trainingSize ?? imageSize), raftSizes).map { grid, raft in
      tokenMixing == .raft ? min(grid.height, grid.width) * raft : grid.area
    }
    return lengths.min() ?? 1
  }
}

/// The sides of the patches around a token; written as `4+8`, or `4` for one.
public struct PatchSizes: Hashable, Sendable, ExpressibleByArrayLiteral {
  public var sizes: [Int]

  public init(arrayLiteral sizes: Int...) { self.sizes = sizes }
}

extension PatchSizes: CustomStringConvertible {
  public var description: String { sizes.map { "\($0)" }.joined(separator: "+") }
}

/// One size is a JSON number, several are a string.
extension PatchSizes: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let size = try? container.decode(Int.self) {
      sizes = [size]
      return
    }
    let text = try container.decode(String.self)
    let numbers = text.split(separator: "+", omittingEmptySubsequences: false).map { Int($0) }
    guard numbers.allSatisfy({ $0 != nil }) else {
      throw MingleError(.usage, "not sizes of patches", expected: "4 or 4+8", got: "'\(text)'")
    }
    sizes = numbers.compactMap { $0 }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if sizes.count == 1 {
      try container.encode(sizes[0])
    } else {
      try container.encode(description)
    }
  }
}

extension RaftMLPConfiguration {
  public static let small = RaftMLPConfiguration(
    patchSizes: [4, 2, 2, 2], kernels: [[4, 8], [2, 4], [2, 4], [2]], depths: [2, 2, 6, 2],
    dims: [64, 128, 256, 512], raftSizes: [2, 2, 2, 2])
  public static let medium = small.with { $0.dims = [96, 192, 384, 768] }
  public static let large = small.with { $0.dims = [128, 192, 512, 1024] }
  /// RaftMLP-12 of the paper's first version.
  public static let plain12 = RaftMLPConfiguration(
    patchSizes: [16], kernels: [[16]], depths: [12], dims: [768], raftSizes: [4]
  ).with { $0.embedding = .plain }
  /// RaftMLP-36 of the paper's first version.
  public static let plain36 = plain12.with {
    $0.depths = [36]
    $0.dims = [384]
    $0.raftSizes = [2]
  }
}
