// Swin Transformer: Hierarchical Vision Transformer using Shifted Windows.
// Liu, Lin, Cao, Hu et al., 2021, arXiv 2103.14030.
// Reference: microsoft/Swin-Transformer; names, layout and sizes that windows do not tile: timm.
//
// B batch, H and W of a map of tokens, C channels, N tokens in a window.
//
// Deviations: none from timm, which pads maps with zeros below and to the right until windows (and,
// before merging, patches of 2 x 2) tile them, and lets those zeros take part in the attention.
// Weights start as in timm, whose truncated normals of deviation 0.02 are cut at 2, which cuts
// nothing: normal here.
//
// Published: top-1 81.3, 83.0 and 83.5 % for Swin-T, S and B (AS-MLP's paper quotes 83.3 for B),
// trained with stochastic depth 0.2, 0.3 and 0.5 that grows linearly over all blocks (here a
// setting, at first 0).

import Layers
import Torch

private let weightInitializer = Initializer.normal(standardDeviation: 0.02)
private let epsilon = 1e-5

/// The tokens of a window attend to each other, with a learned bias for each distance.
public final class WindowAttention: Module {
  let relativePositionBiasTable: Parameter  // [(2 h - 1) (2 w - 1), heads] for windows of h x w
  let qkv: Linear, proj: Linear
  let attention: DotProductAttention, drop: Dropout
  private let windows: SwinWindows
  private let constants: SwinConstants

  init(
    _ configuration: SwinConfiguration, dimension: Int, heads: Int, windows: SwinWindows,
    constants: SwinConstants, generator: Generator?
  ) {
    let distances = (2 * windows.size.height - 1) * (2 * windows.size.width - 1)
    relativePositionBiasTable = Parameter(
      weightInitializer([distances, heads], generator), decays: false)
    qkv = Linear(
      dimension, 3 * dimension, weight: weightInitializer,
      bias: configuration.qkvBias ? .zeros : nil, generator: generator)
    proj = Linear(dimension, dimension, weight: weightInitializer, generator: generator)
    attention = DotProductAttention(heads: heads, dropout: configuration.attentionDropout)
    drop = Dropout(configuration.dropout)
    self.windows = windows
    self.constants = constants
  }

  /// Windows [B, windows, N, C] of a map of the size `map`, which they tile.
  func callAsFunction(_ x: Tensor, of map: ImageSize) -> Tensor {
    let count = x.shape[2]
    let table = relativePositionBiasTable.tensor
    let bias = table.indexSelect(0, constants.positions(windows, on: x.device))
      .reshaped([count, count, -1]).permuted([2, 0, 1]).contiguous()  // [heads, N, N]
    let projected = qkv(x)  // [B, windows, N, 3 C]
    guard windows.isShifted else {
      let all = attention(qkv: projected.flattened(to: 1), mask: bias.unsqueezed(0))
      return drop(proj(all.reshaped(x.shape)))
    }
    let mask = bias + constants.mask(windows, on: map, like: bias)  // [windows, heads, N, N]
    if mask.requiresGradient { return drop(proj(attention(qkv: projected, mask: mask))) }
    // The fused kernel takes four dimensions alone; it wins more than repeating the mask costs.
    let masks = mask.expanded([x.shape[0]] + mask.shape).flattened(to: 1)
    let all = attention(qkv: projected.flattened(to: 1), mask: masks)
    return drop(proj(all.reshaped(x.shape)))
  }
}

/// Attention inside windows, then an MLP over channels, each on a normalised residual branch.
public final class SwinBlock: Module {
  let norm1: LayerNorm, attn: WindowAttention, norm2: LayerNorm, mlp: MLP
  let dropPath: DropPath
  private let windows: SwinWindows

  init(
    _ configuration: SwinConfiguration, dimension: Int, heads: Int, windows: SwinWindows,
    dropPath: Double, constants: SwinConstants, generator: Generator?
  ) {
    norm1 = LayerNorm(dimension, epsilon: epsilon)
    attn = WindowAttention(
      configuration, dimension: dimension, heads: heads, windows: windows, constants: constants,
      generator: generator)
    norm2 = LayerNorm(dimension, epsilon: epsilon)
    mlp = MLP(
      dimension, hidden: Int(configuration.mlpRatio * Double(dimension)),
      activation: configuration.activation, dropout: configuration.dropout,
      weight: weightInitializer, generator: generator)
    self.dropPath = DropPath(dropPath)
    self.windows = windows
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, C]
    let x = x + dropPath(attended(norm1(x)))
    return mlp.residual(norm2, x, dropPath)  // x + mlp(norm2(x)), C -> 4C -> C
  }

  private func attended(_ x: Tensor) -> Tensor {
    let map = ImageSize(x.shape[1], x.shape[2])
    let tiled = windows.padded(map)
    let (up, left) = (windows.shift.height, windows.shift.width)
    var y = windows.isShifted ? x.rolled([-up, -left], dimensions: [1, 2]) : x
    if tiled != map {
      y = y.padded([0, 0, 0, tiled.width - map.width, 0, tiled.height - map.height])
    }
    y = windows.joined(attn(windows.cut(y), of: tiled), to: tiled)
    if tiled != map { y = y.narrowed(1, 0..<map.height).narrowed(2, 0..<map.width) }
    return windows.isShifted ? y.rolled([up, left], dimensions: [1, 2]) : y
  }
}

/// Joins 2 x 2 tokens to one of twice the channels: [B, H, W, C] -> [B, H / 2, W / 2, 2 C].
public final class PatchMerging: Module {
  let norm: LayerNorm, reduction: Linear

  init(_ dimension: Int, generator: Generator?) {
    norm = LayerNorm(4 * dimension, epsilon: epsilon)
    reduction = Linear(
      4 * dimension, 2 * dimension, weight: weightInitializer, bias: nil, generator: generator)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let (height, width) = (x.shape[1], x.shape[2])
    let isEven = height % 2 == 0 && width % 2 == 0
    let even = isEven ? x : x.padded([0, 0, 0, width % 2, 0, height % 2])
    let s = even.shape
    let quarters = even.reshaped([s[0], s[1] / 2, 2, s[2] / 2, 2, s[3]])
      .permuted([0, 1, 3, 4, 2, 5]).flattened(from: 3)  // left column first, top to bottom
    return reduction(norm(quarters))
  }
}

/// Blocks on maps of one size; every second one shifts its windows.
public final class SwinStage: Module {
  let downsample: PatchMerging?
  let blocks: [SwinBlock]

  init(downsample: PatchMerging?, blocks: [SwinBlock]) {
    self.downsample = downsample
    self.blocks = blocks
  }

  /// What the stage does, one after the other: [B, H, W, C] -> [B, H / 2, W / 2, 2 C].
  var steps: [(Tensor) -> Tensor] {
    (downsample.map { [$0.callAsFunction] } ?? []) + blocks.map { $0.callAsFunction }
  }
}

/// Cuts an image into patches and projects each to a normalised vector:
/// [B, I, H pH, W pW] -> [B, H, W, C].
public final class SwinPatchEmbedding: Module {
  let proj: Convolution, norm: LayerNorm

  init(_ configuration: SwinConfiguration, generator: Generator?) {
    let patch = configuration.patchSize
    proj = Convolution(
      configuration.inputChannels, configuration.dim, kernel: (patch.height, patch.width),
      stride: (patch.height, patch.width), weight: .torchDefault,
      bias: .torchDefaultBias(fanIn: configuration.inputChannels * patch.area),
      generator: generator)
    norm = LayerNorm(configuration.dim, epsilon: epsilon)
  }

  func callAsFunction(_ images: Tensor) -> Tensor { norm(proj(images).permuted([0, 2, 3, 1])) }
}

/// An image classifier of transformer stages on smaller and smaller maps, with mean pooling.
public final class Swin: VisionModel {
  public static let headKey = "head.fc"
  public let configuration: SwinConfiguration

  let patchEmbed: SwinPatchEmbedding
  let layers: [SwinStage]
  let norm: LayerNorm
  private let _head: ClassifierHead
  public var head: Linear { _head.fc }

  public init(_ configuration: SwinConfiguration, generator: Generator?) throws {
    try configuration.validate()
    self.configuration = configuration
    patchEmbed = SwinPatchEmbedding(configuration, generator: generator)
    let constants = SwinConstants()
    let (depths, sizes) = (configuration.depths, configuration.windowSize)
    let rates = configuration.dropPathRule.rates(
      configuration.dropPath, depth: depths.reduce(0, +))
    var map = try configuration.grid(patch: configuration.patchSize)
    var first = 0
    layers = depths.indices.map { stage in
      let dim = configuration.dim << stage
      var merging: PatchMerging?
      if stage > 0 {
        merging = PatchMerging(dim / 2, generator: generator)
        map = ImageSize((map.height + 1) / 2, (map.width + 1) / 2)
      }
      defer { first += depths[stage] }
      let blocks = (0..<depths[stage]).map { index in
        SwinBlock(
          configuration, dimension: dim, heads: configuration.heads[stage],
          windows: SwinWindows(
            sizes.count == 1 ? sizes[0] : sizes[stage], on: map, shifted: index % 2 == 1,
            always: configuration.alwaysPartition),
          dropPath: rates[first + index], constants: constants, generator: generator)
      }
      return SwinStage(downsample: merging, blocks: blocks)
    }
    let channels = configuration.dim << (depths.count - 1)
    norm = LayerNorm(channels, epsilon: epsilon)
    _head = ClassifierHead(
      Linear(channels, configuration.classes, weight: weightInitializer, generator: generator))
  }

  public var stages: [Stage] {
    [Stage("patch_embed", patchEmbed.callAsFunction)]
      + layers.enumerated().map { Stage("layers.\($0)", blocks: $1.steps) }
      + [Stage("norm", norm.callAsFunction)]
  }

  public func pool(_ x: Tensor) -> Tensor { x.mean([1, 2]) }  // [B, H, W, C] -> [B, C]
}
