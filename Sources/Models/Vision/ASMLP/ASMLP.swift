// AS-MLP: An Axial Shifted MLP Architecture for Vision.
// Lian, Yu, Sun, Gao, 2021, arXiv 2107.08391.
// Reference: svip-lab/AS-MLP, models/as_mlp.py; names and layout are its own.
//
// B batch, C channels of a stage, H, W sides of its map. All norms are group norms with one group.
//
// Deviations: dilation and the paddings other than zero are ablations of the paper that its code
// lacks; dilation multiplies each distance, circular padding is the paper's "no padding". Images
// whose sides the merges cannot halve are refused: the classifier's code drops the rows and columns
// that fill no patch, the detector's adds some, and both stop at odd maps. Weights start as in the
// code: PyTorch's default for convolutions, truncated normal 0.02 for the head.
//
// Published: top-1 81.3, 83.1 and 83.3 % for Tiny, Small and Base, trained with stochastic depth
// 0.2, 0.3 and 0.5 that grows linearly over all blocks (here a setting, at first 0); 76.05 % for
// Mobile.
// Errata: the paper's listing leaves the padding open and uses a variable that it does not define;
// its 20 thousand validation pictures are 50 thousand; the code's default shift size is 7, that of
// all released networks 5.

import Layers
import Torch

/// A 1x1 convolution with PyTorch's first values.
private func pointwise(
  _ inputs: Int, _ outputs: Int, bias: Bool, _ generator: Generator?
) -> Convolution {
  Convolution(
    inputs, outputs, kernel: 1, weight: .torchDefault,
    bias: bias ? .torchDefaultBias(fanIn: inputs) : nil, generator: generator)
}

/// Mixes positions: channels that came from the left and right, and from above and below, meet in
/// one 1x1 convolution each.
public final class AxialShift: Module {
  let conv1: Convolution, conv2_1: Convolution, conv2_2: Convolution, conv3: Convolution
  let norm1: GroupNorm, norm2: GroupNorm
  private let horizontal: ChannelShift, vertical: ChannelShift

  init(_ configuration: ASMLPConfiguration, dim: Int, generator: Generator?) {
    func projection() -> Convolution {
      pointwise(dim, dim, bias: configuration.axialShiftBias, generator)
    }
    conv1 = projection()
    conv2_1 = projection()
    conv2_2 = projection()
    conv3 = projection()
    norm1 = GroupNorm(dim)
    norm2 = GroupNorm(dim)
    horizontal = configuration.shift(axis: 3)
    vertical = configuration.shift(axis: 2)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, C, H, W]
    let z = norm1(conv1(x)).gelu()
    let sum = conv2_1(horizontal(z)).gelu() + conv2_2(vertical(z)).gelu()
    return conv3(norm2(sum))
  }
}

/// Mixes positions by shifts, then channels by an MLP, each on a normalised residual branch.
public final class ASMLPBlock: Module {
  let norm1: GroupNorm, axialShift: AxialShift, norm2: GroupNorm, mlp: PointwiseMLP
  let dropPath: DropPath

  init(_ configuration: ASMLPConfiguration, dim: Int, dropPath: Double, generator: Generator?) {
    norm1 = GroupNorm(dim)
    axialShift = AxialShift(configuration, dim: dim, generator: generator)
    norm2 = GroupNorm(dim)
    mlp = PointwiseMLP(
      dim, hidden: Int(configuration.mlpRatio * Double(dim)), dropout: configuration.dropout,
      weight: .torchDefault, bias: { .torchDefaultBias(fanIn: $0) }, generator: generator)
    self.dropPath = DropPath(dropPath)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, C, H, W]
    let x = x + dropPath(axialShift(norm1(x)))
    return x + dropPath(mlp(norm2(x)))  // C -> 4C -> C
  }
}

/// Each 2x2 square of positions becomes one position: [B, C, H, W] -> [B, 2C, H/2, W/2].
public final class ASMLPPatchMerging: Module {
  let norm: GroupNorm, reduction: Convolution

  init(_ dim: Int, generator: Generator?) {
    norm = GroupNorm(4 * dim)
    reduction = pointwise(4 * dim, 2 * dim, bias: false, generator)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let (channels, height, width) = (x.shape[1], x.shape[2], x.shape[3])
    precondition(
      height % 2 == 0 && width % 2 == 0, "a map of \(height)x\(width) positions cannot be halved")
    let squares = x.reshaped([-1, channels, height / 2, 2, width / 2, 2])
      .permuted([0, 5, 3, 1, 2, 4])  // columns of a square outermost, then its rows
      .reshaped([-1, 4 * channels, height / 2, width / 2])
    return reduction(norm(squares))
  }
}

/// The blocks of one resolution, and the way to the next.
public final class ASMLPStage: Module {
  let blocks: [ASMLPBlock]
  let downsample: ASMLPPatchMerging?

  init(
    _ configuration: ASMLPConfiguration, dim: Int, dropPaths: some Sequence<Double>, isLast: Bool,
    generator: Generator?
  ) {
    blocks = dropPaths.map { rate in
      ASMLPBlock(configuration, dim: dim, dropPath: rate, generator: generator)
    }
    downsample = isLast ? nil : ASMLPPatchMerging(dim, generator: generator)
  }

  func stages(_ prefix: String) -> [Stage] {
    blocks.enumerated().map { Stage("\(prefix).blocks.\($0)", $1.callAsFunction) }
      + (downsample.map { [Stage("\(prefix).downsample", $0.callAsFunction)] } ?? [])
  }
}

/// Patches as a map of vectors: [B, I, H, W] -> [B, C, H/p, W/p].
public final class ASMLPPatchEmbedding: Module {
  let proj: Convolution, norm: GroupNorm?

  init(_ configuration: ASMLPConfiguration, generator: Generator?) {
    let (channels, patch) = (configuration.inputChannels, configuration.patchSize)
    let size = (patch.height, patch.width)
    proj = Convolution(
      channels, configuration.dim, kernel: size, stride: size, weight: .torchDefault,
      bias: .torchDefaultBias(fanIn: channels * patch.area), generator: generator)
    norm = configuration.patchNorm ? GroupNorm(configuration.dim) : nil
  }

  func callAsFunction(_ images: Tensor) -> Tensor {
    let x = proj(images)
    return norm?(x) ?? x
  }
}

/// An image classifier of axial-shift blocks at shrinking resolutions, with mean pooling.
public final class ASMLP: VisionModel {
  public let configuration: ASMLPConfiguration

  let patchEmbed: ASMLPPatchEmbedding, posDrop: Dropout
  let layers: [ASMLPStage]
  let norm: GroupNorm
  public let head: Linear

  public init(_ configuration: ASMLPConfiguration, generator: Generator?) throws {
    try configuration.validate()
    self.configuration = configuration
    let (depths, dims) = (configuration.depths, configuration.dims)
    patchEmbed = ASMLPPatchEmbedding(configuration, generator: generator)
    posDrop = Dropout(configuration.dropout)
    var rates = configuration.dropPathRule
      .rates(configuration.dropPath, depth: depths.reduce(0, +))[...]
    layers = zip(depths, dims).enumerated().map { index, stage in
      let (depth, dim) = stage
      defer { rates = rates.dropFirst(depth) }
      return ASMLPStage(
        configuration, dim: dim, dropPaths: rates.prefix(depth), isLast: index == depths.count - 1,
        generator: generator)
    }
    norm = GroupNorm(dims[dims.count - 1])
    head = Linear(
      dims[dims.count - 1], configuration.classes,
      weight: .truncatedNormal(standardDeviation: 0.02), generator: generator)
  }

  public var stages: [Stage] {
    [Stage("patch_embed") { [patchEmbed, posDrop] in posDrop(patchEmbed($0)) }]
      + layers.enumerated().flatMap { $1.stages("layers.\($0)") }
      + [Stage("norm", norm.callAsFunction)]
  }

  public func pool(_ x: Tensor) -> Tensor { x.mean([2, 3]) }  // [B, C, H, W] -> [B, C]
}
