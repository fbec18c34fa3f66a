// RaftMLP: How Much Can Be Done Without Attention and with Less Spatial Locality?
// Tatsunami and Taki, 2021, arXiv 2108.04384.
// Reference: okojoalg/raft-mlp, libs/models.py and libs/modules.py; names and layout: the same.
//
// B batch, H and W rows and columns, C channels in r rafts of O = C / r; channel r' O + o is channel
// o of raft r'.
//
// Deviations from the paper, as in its released code: the norm before a token mixing keeps its gains
// and biases in the order o r + r' (the paper's listing: the channels' own). The multi-scale
// embedding joins the patches of all sizes and projects them; here that is one convolution, since
// patches around the same centre can share the largest one's window. A plain embedding of patches
// of 1 projects also where the width changes (the reference cannot). Weights start as PyTorch's
// defaults.
//
// Published: top-1 78.0 and 76.9 % for RaftMLP-12 and 36 (first version); the results of S, M and L
// are of later versions and could not be checked. All are trained with stochastic depth 0.1 in
// every block (here a setting, at first 0).
// Errata: the second level of L has 192 channels, not twice the first's; the first version's
// formula for the multiply-adds is wrong in the token mixing, the numbers in its tables are right.

import Layers
import Torch

/// `fc2(GELU(fc1(x)))` with dropout after each.
public final class RaftFeedForward: NumberedModule {
  let fc1: Linear, fc2: Linear, drop: Dropout

  init(_ dimension: Int, ratio: Double, dropout: Double, generator: Generator?) {
    let hidden = Int(ratio * Double(dimension))
    fc1 = Linear(
      dimension, hidden, weight: .torchDefault, bias: .torchDefaultBias(fanIn: dimension),
      generator: generator)
    fc2 = Linear(
      hidden, dimension, weight: .torchDefault, bias: .torchDefaultBias(fanIn: hidden),
      generator: generator)
    drop = Dropout(dropout)
  }

  public var numbered: [(place: Int, module: any Module)] { [(0, fc1), (2, drop), (3, fc2)] }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [..., I]
    drop(fc2(drop(fc1(x).gelu())))
  }

  func overRows(_ x: Tensor) -> Tensor {  // [B, I, N]
    drop(fc2.overRows(drop(fc1.overRows(x).gelu())))
  }
}

/// A layer norm whose gains and biases are in the order o r + r'.
public final class RaftNorm: NumberedModule {
  let norm: LayerNorm
  private let raftSize: Int

  init(_ dimension: Int, raftSize: Int) {
    norm = LayerNorm(dimension, epsilon: 1e-5)
    self.raftSize = raftSize
  }

  public var numbered: [(place: Int, module: any Module)] { [(1, norm)] }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [..., C]
    norm.traced(
      x.layerNorm(ordered(norm.weight), ordered(norm.bias), epsilon: norm.epsilon))
  }

  /// The values in the order of the channels.
  private func ordered(_ parameter: Parameter) -> Tensor {
    parameter.tensor.reshaped([-1, raftSize]).transposed(0, 1).flattened()
  }
}

/// Mixes columns or rows of the grid, each together with the rafts: [B, H, W, C] -> [B, H, W, C].
public final class RaftTokenMixing: Module {
  enum Direction {
    /// Vectors over r and H, r and W, or H and W (then r is 1).
    case vertical, horizontal, joint

    /// From [B, H, W, r, O] to what is mixed, then the rest; and back.
    var orders: (there: [Int], back: [Int]) {
      switch self {
      case .vertical: ([0, 3, 1, 2, 4], [0, 2, 3, 1, 4])  // [B, r, H, W, O]
      case .horizontal: ([0, 3, 2, 1, 4], [0, 3, 2, 1, 4])  // [B, r, W, H, O]
      case .joint: ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
      }
    }
  }

  let norm: RaftNorm, fn: RaftFeedForward
  let dropPath: DropPath
  private let direction: Direction
  private let raftSize: Int

  init(
    _ direction: Direction, _ configuration: RaftMLPConfiguration, level: Int, grid: ImageSize,
    dropPath: Double, generator: Generator?
  ) {
    self.direction = direction
    raftSize = direction == .joint ? 1 : configuration.raftSizes[level]
    norm = RaftNorm(configuration.dims[level], raftSize: raftSize)
    let length =
      switch direction {
      case .vertical: raftSize * grid.height
      case .horizontal: raftSize * grid.width
      case .joint: grid.area
      }
    fn = RaftFeedForward(
      length, ratio: configuration.tokenMLPRatio, dropout: configuration.dropout,
      generator: generator)
    self.dropPath = DropPath(dropPath)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let split = Array(x.shape[..<3]) + [raftSize, -1]
    let (there, back) = direction.orders
    let vectors = norm(x).reshaped(split).permuted(there)
    let rows = vectors.reshaped([x.shape[0], fn.fc1.inputDimension, -1])
    let mixed = fn.overRows(rows).reshaped(vectors.shape).permuted(back)  // [B, H, W, r, O]
    return (x.reshaped(split) + dropPath(mixed)).reshaped(x.shape)
  }
}

/// Mixes channels: [B, H, W, C] -> [B, H, W, C].
public final class RaftChannelMixing: Module {
  let norm: LayerNorm, fn: RaftFeedForward
  let dropPath: DropPath

  init(
    _ configuration: RaftMLPConfiguration, level: Int, dropPath: Double, generator: Generator?
  ) {
    let dim = configuration.dims[level]
    norm = LayerNorm(dim, epsilon: 1e-5)
    fn = RaftFeedForward(
      dim, ratio: configuration.channelMLPRatio, dropout: configuration.dropout,
      generator: generator)
    self.dropPath = DropPath(dropPath)
  }

  func callAsFunction(_ x: Tensor) -> Tensor { x + dropPath(fn(norm(x))) }
}

/// Mixes tokens on the training grid, then channels: [B, H, W, C] -> [B, H, W, C].
public final class RaftBlock: NumberedModule {
  let tokenMixing: [RaftTokenMixing]
  let channelMixing: RaftChannelMixing
  private let grid: ImageSize

  init(
    _ configuration: RaftMLPConfiguration, level: Int, grid: ImageSize, dropPath: Double,
    generator: Generator?
  ) {
    let directions: [RaftTokenMixing.Direction] =
      configuration.tokenMixing == .raft ? [.vertical, .horizontal] : [.joint]
    tokenMixing = directions.map { direction in
      RaftTokenMixing(
        direction, configuration, level: level, grid: grid, dropPath: dropPath,
        generator: generator)
    }
    channelMixing = RaftChannelMixing(
      configuration, level: level, dropPath: dropPath, generator: generator)
    self.grid = grid
  }

  /// Every other place is a rearrangement.
  public var numbered: [(place: Int, module: any Module)] {
    let modules: [any Module] = tokenMixing + [channelMixing]
    return modules.enumerated().map { (2 * $0 + 1, $1) }
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let size = ImageSize(x.shape[1], x.shape[2])
    let mixed = tokenMixing.reduce(resampled(x, to: grid)) { x, mix in mix(x) }
    return channelMixing(resampled(mixed, to: size))
  }

  private func resampled(_ x: Tensor, to size: ImageSize) -> Tensor {
    guard x.shape[1] != size.height || x.shape[2] != size.width else { return x }
    return x.permuted([0, 3, 1, 2]).bicubicallySampled(height: size.height, width: size.width)
      .permuted([0, 2, 3, 1]).contiguous()
  }
}

/// Projects the patches around each token: [B, I, H, W] -> [B, H / q, W / q, C] for the stride q.
public final class RaftEmbedding: Module {
  let fc: Linear
  private let inputChannels: Int
  private let patch: Int
  /// The sides of the patches; nil for a plain embedding.
  private let kernels: [Int]?

  init(_ configuration: RaftMLPConfiguration, level: Int, generator: Generator?) {
    inputChannels = level == 0 ? configuration.inputChannels : configuration.dims[level - 1]
    patch = configuration.patchSizes[level]
    kernels = configuration.embedding == .plain ? nil : configuration.kernels[level].sizes
    let fanIn = inputChannels * (kernels ?? [patch]).reduce(0) { $0 + $1 * $1 }
    fc = Linear(
      fanIn, configuration.dims[level], weight: .torchDefault,
      bias: .torchDefaultBias(fanIn: fanIn), generator: generator)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let window = weight
    let margin = (window.shape[3] - patch) / 2
    let y = x.convolution(
      window, fc.bias?.tensor, stride: (patch, patch), padding: (margin, margin))
    let tokens = y.permuted([0, 2, 3, 1]).contiguous()
    return fc.traced(tokens, multiplyAdds: tokens.count * fc.inputDimension)
  }

  /// The weights of a convolution over the largest patch, [C, I, K, K], in whose middle the smaller
  /// ones are added.
  private var weight: Tensor {
    let columns = fc.weight.tensor
    guard let kernels, let largest = kernels.max() else {
      return columns.reshaped([-1, patch, patch, inputChannels]).permuted([0, 3, 1, 2])
    }
    var start = 0
    let windows = kernels.map { kernel in
      let count = inputChannels * kernel * kernel
      defer { start += count }
      let window = columns.narrowed(1, start..<(start + count))
        .reshaped([-1, inputChannels, kernel, kernel])
      let margin = (largest - kernel) / 2
      return margin == 0 ? window : window.padded([margin, margin, margin, margin])
    }
    return windows.dropFirst().reduce(windows[0]) { $0 + $1 }
  }
}

/// The steps of a level: its embedding and its blocks.
public final class RaftSteps: NumberedModule {
  let embedding: RaftEmbedding
  let blocks: [RaftBlock]
  private let isPlain: Bool

  init(
    _ configuration: RaftMLPConfiguration, level: Int, grid: ImageSize, dropPath: [Double],
    generator: Generator?
  ) {
    embedding = RaftEmbedding(configuration, level: level, generator: generator)
    blocks = dropPath.map { rate in
      RaftBlock(configuration, level: level, grid: grid, dropPath: rate, generator: generator)
    }
    isPlain = configuration.embedding == .plain
  }

  /// A plain embedding is a rearrangement and a linear layer.
  public var numbered: [(place: Int, module: any Module)] {
    [isPlain ? (1, embedding.fc) : (0, embedding)]
      + blocks.enumerated().map { (2 + $0, $1) }
  }
}

/// One resolution of the network: [B, I, H, W] -> [B, C, H / q, W / q], rounded up.
public final class RaftLevel: Module {
  let fn: RaftSteps
  private let patch: Int

  init(
    _ configuration: RaftMLPConfiguration, level: Int, grid: ImageSize, dropPath: [Double],
    generator: Generator?
  ) {
    fn = RaftSteps(
      configuration, level: level, grid: grid, dropPath: dropPath, generator: generator)
    patch = configuration.patchSizes[level]
  }

  func callAsFunction(_ x: Tensor) -> Tensor { mixed(checkpointed(x, embedded)) }

  /// The patches as a map of vectors.
  func embedded(_ x: Tensor) -> Tensor {
    let (rows, columns) = (x.shape[2] + patch - 1, x.shape[3] + patch - 1)
    let (height, width) = (rows - rows % patch, columns - columns % patch)
    let isWhole = height == x.shape[2] && width == x.shape[3]
    let whole = isWhole ? x : x.bicubicallySampled(height: height, width: width)
    return fn.embedding(whole).permuted([0, 3, 1, 2])
  }

  /// What the blocks make of that map.
  func mixed(_ x: Tensor) -> Tensor {
    fn.blocks.reduce(x.permuted([0, 2, 3, 1])) { x, block in checkpointed(x, block.callAsFunction) }
      .permuted([0, 3, 1, 2])
  }
}

/// A level's way to the classifier: its normalised tokens, and for a shortcut a factor and a summand
/// of the deeper levels' vector.
public final class RaftHead: NumberedModule {
  let norm: LayerNorm
  let fc: Linear?

  init(_ dimension: Int, outputDimension: Int?, generator: Generator?) {
    norm = LayerNorm(dimension, epsilon: 1e-5)
    fc = outputDimension.map { output in
      Linear(
        dimension, output, weight: .torchDefault, bias: .torchDefaultBias(fanIn: dimension),
        generator: generator)
    }
  }

  public var numbered: [(place: Int, module: any Module)] {
    [(1, norm)] + (fc.map { [(4, $0)] } ?? [])
  }

  func tokens(_ x: Tensor) -> Tensor {  // [B, C, H, W] -> [B, S, C]
    norm(x.permuted([0, 2, 3, 1])).flattened(from: 1, to: 2)
  }
}

/// An image classifier of RaftMLP levels, with mean pooling.
public final class RaftMLP: VisionModel {
  public static var headKey: String { "classifier" }

  /// With the training size that the weights are for.
  public let configuration: RaftMLPConfiguration

  let levels: [RaftLevel]
  let heads: [RaftHead]
  let classifier: Linear
  public var head: Linear { classifier }

  public init(_ configuration: RaftMLPConfiguration, generator: Generator?) throws {
    try configuration.validate()
    let trainingSize = configuration.trainingSize ?? configuration.imageSize
    self.configuration = configuration.with { $0.trainingSize = trainingSize }
    let (dims, depths) = (configuration.dims, configuration.depths)
    let rates = configuration.dropPathRule.rates(
      configuration.dropPath, depth: depths.reduce(0, +))
    var built = 0
    levels = configuration.grids(for: trainingSize).enumerated().map { level, grid in
      defer { built += depths[level] }
      return RaftLevel(
        configuration, level: level, grid: grid,
        dropPath: Array(rates[built..<(built + depths[level])]), generator: generator)
    }
    let last = dims[dims.count - 1]
    heads = (configuration.shortcut ? dims : [last]).enumerated().map { level, dim in
      let isLast = !configuration.shortcut || level == dims.count - 1
      return RaftHead(dim, outputDimension: isLast ? nil : 2 * last, generator: generator)
    }
    classifier = Linear(
      last, configuration.classes, weight: .torchDefault, bias: .torchDefaultBias(fanIn: last),
      generator: generator)
  }

  public var stages: [Stage] {
    levels.enumerated().flatMap { index, level in
      [Stage("levels.\(index).fn.1", level.embedded), Stage("levels.\(index)", level.mixed)]
    }
      + [Stage("heads.\(heads.count - 1)", heads[heads.count - 1].tokens)]
  }

  public func pool(_ x: Tensor) -> Tensor { x.mean([1]) }  // [B, S, C] -> [B, C]

  /// The pooled tokens of the last level. Where there are shortcuts, each level from the last but one
  /// to the first scales and shifts them.
  public func features(_ images: Tensor) -> Tensor {
    var x = images
    var maps: [Tensor] = []
    for level in levels {
      x = level(x)
      maps.append(x)
    }
    let last = pool(heads[heads.count - 1].tokens(x))
    return zip(heads, maps).dropLast().reversed().reduce(last) { deeper, item in
      let (head, map) = item
      guard let fc = head.fc else { return deeper }
      let parts = fc(pool(head.tokens(map))).chunked(2, dimension: 1)
      return parts[1].adding(parts[0], times: deeper)
    }
  }
}
