// Hire-MLP: Vision MLP via Hierarchical Rearrangement.
// Guo, Tang, Han, Chen, Wu, Xu, Xu, Wang, 2021, arXiv 2108.13341.
// Reference: ggjy/Hire-Wave-MLP.pytorch, mlp_based/hire_mlp.py.
//
// B batch, C channels, H, W rows and columns of the map, p rows of a region, s shift.
//
// Deviations from the paper's first version, as in the released code: batch norms instead of layer
// norms, a batch norm and ReLU inside the region MLP, a softmax over the three branches for each
// channel instead of their plain sum, and a projection after it; the shift of the third stage runs
// through 0, 1, 2 (paper: every second block shifts). Deviations from the code: any number of input
// channels, reflecting padding as in the paper's ablation, and dropout in the channel MLP. Weights
// start as there: truncated normal 0.02, biases 0.
//
// Published: top-1 79.7, 82.1, 83.2 and 83.8 % for Tiny to Large (first version: 78.9, 81.8, 83.1
// and 83.4), Tiny without stochastic depth, Base with 0.2 that grows linearly over all blocks; for
// Small and Large no rate is told, here they are as Tiny and Base.
// Errata: the first version's table counts 17.1 million parameters for Tiny, its code 18.04.

import Layers
import Torch

private let weightInitializer = Initializer.truncatedNormal(standardDeviation: 0.02)

/// Mixes the rows of regions, the columns of regions, and channels, and weighs the three results
/// for each channel.
public final class HireModule: Layer {
  let mlpH1: Convolution, mlpH1Norm: BatchNorm, mlpH2: Convolution  // C p -> C / 2 -> C p
  let mlpW1: Convolution, mlpW1Norm: BatchNorm, mlpW2: Convolution
  let mlpC: Convolution, reweight: PointwiseMLP, proj: Convolution
  private let region: Int, step: Int
  private let padding: PaddingMode, stepPadding: PaddingMode

  init(
    _ configuration: HireMLPConfiguration, dim: Int, region: Int, step: Int, generator: Generator?
  ) {
    func pointwise(_ inputs: Int, _ outputs: Int, bias: Initializer? = .zeros) -> Convolution {
      Convolution(
        inputs, outputs, kernel: 1, weight: weightInitializer, bias: bias, generator: generator)
    }
    mlpH1 = pointwise(dim * region, dim / 2, bias: nil)
    mlpH1Norm = BatchNorm(dim / 2)
    mlpH2 = pointwise(dim / 2, dim * region)
    mlpW1 = pointwise(dim * region, dim / 2, bias: nil)
    mlpW1Norm = BatchNorm(dim / 2)
    mlpW2 = pointwise(dim / 2, dim * region)
    mlpC = pointwise(dim, dim)
    reweight = PointwiseMLP(
      dim, hidden: dim / 4, output: 3 * dim, weight: weightInitializer, generator: generator)
    proj = pointwise(dim, dim)
    self.region = region
    self.step = step
    padding = configuration.padding
    stepPadding = configuration.stepPadding
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {  // [B, C, H, W]
    let h = movedBack(overRows(padded(moved(x, 2), 2)), 2, size: x.shape[2])
    let w = movedBack(overColumns(padded(moved(x, 3), 3)), 3, size: x.shape[3])
    let c = mlpC(x)
    let means = [h, w, c].map { $0.mean([2, 3], keepDimensions: true) }  // [B, C, 1, 1]
    let shares = reweight(means[0] + means[1] + means[2])  // [B, 3 C, 1, 1]
      .reshaped([x.shape[0], x.shape[1], 3, 1]).softmax(2).chunked(3, dimension: 2)
    return proj((h * shares[0]).adding(w, times: shares[1]).adding(c, times: shares[2]))
  }

  /// The MLP over the channels of each region's p rows: [B, C, R p, W] -> [B, C, R p, W].
  private func overRows(_ x: Tensor) -> Tensor {
    let (batch, channels, width) = (x.shape[0], x.shape[1], x.shape[3])
    let regions = x.reshaped([batch, channels, -1, region, width]).transposed(2, 3)
      .reshaped([batch, channels * region, -1, width])  // channel c, row i of p: c p + i
    return mlpH2(mlpH1Norm(mlpH1(regions)).relu())  // [B, C p, R, W]
      .reshaped([batch, channels, region, -1, width]).transposed(2, 3)
      .reshaped([batch, channels, -1, width])
  }

  /// The MLP over the channels of each region's p columns: [B, C, H, R p] -> [B, C, H, R p].
  private func overColumns(_ x: Tensor) -> Tensor {
    let (batch, channels, height) = (x.shape[0], x.shape[1], x.shape[2])
    let regions = x.reshaped([batch, channels, height, -1, region]).permuted([0, 1, 4, 2, 3])
      .reshaped([batch, channels * region, height, -1])
    return mlpW2(mlpW1Norm(mlpW1(regions)).relu())  // [B, C p, H, R]
      .reshaped([batch, channels, region, height, -1]).permuted([0, 1, 3, 4, 2])
      .reshaped([batch, channels, height, -1])
  }

  /// Shifted by s along `axis`, so that other rows form a region.
  private func moved(_ x: Tensor, _ axis: Int) -> Tensor {
    if step == 0 { return x }
    if stepPadding == .circular { return x.rolled([step], dimensions: [axis]) }
    let size = x.shape[axis]
    let entering = min(step, size)
    return x.narrowed(axis, 0..<size - entering)
      .padded(axis == 2 ? [0, 0, entering, 0] : [entering, 0])
  }

  /// With as many more rows as make the last region whole.
  private func padded(_ x: Tensor, _ axis: Int) -> Tensor {
    let missing = (region - x.shape[axis] % region) % region
    return x.padded(axis, after: missing, mode: padding)
  }

  /// The first `size` rows, shifted back.
  private func movedBack(_ x: Tensor, _ axis: Int, size: Int) -> Tensor {
    let whole = x.narrowed(axis, 0..<size)
    return step > 0 && stepPadding == .circular ? whole.rolled([-step], dimensions: [axis]) : whole
  }
}

/// The rearranging module, then an MLP over channels, each on a normalised residual branch.
public final class HireBlock: Layer {
  let norm1: BatchNorm, attn: HireModule, norm2: BatchNorm, mlp: PointwiseMLP
  let dropPath: DropPath

  init(
    _ configuration: HireMLPConfiguration, stage: Int, block: Int, dropPath: Double,
    generator: Generator?
  ) {
    let dim = configuration.dims[stage]
    norm1 = BatchNorm(dim)
    attn = HireModule(
      configuration, dim: dim, region: configuration.regions[stage],
      step: configuration.step(stage, block: block), generator: generator)
    norm2 = BatchNorm(dim)
    mlp = PointwiseMLP(
      dim, hidden: configuration.hidden(stage), dropout: configuration.dropout,
      weight: weightInitializer, generator: generator)
    self.dropPath = DropPath(dropPath)
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {  // [B, C, H, W]
    let x = x + dropPath(attn(norm1(x)))
    return x + dropPath(mlp(norm2(x)))
  }
}

/// A strided convolution, batch norm and ReLU; the stem and the way from stage to stage.
public final class HireReduction: Layer {
  let proj: Convolution, norm: BatchNorm

  init(
    _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int, padding: Int, generator: Generator?
  ) {
    proj = Convolution(
      inputs, outputs, kernel: kernel, stride: stride, padding: padding,
      weight: weightInitializer, generator: generator)
    norm = BatchNorm(outputs)
  }

  public func callAsFunction(_ x: Tensor) -> Tensor { norm(proj(x)).relu() }
}

/// An image classifier of Hire blocks in stages of falling resolution, with mean pooling.
public final class HireMLP: VisionModel {
  public let configuration: HireMLPConfiguration

  let patchEmbed: HireReduction
  /// Stages of blocks at even places, the ways between them at odd ones.
  let network: [any Layer]
  let norm: BatchNorm
  public let head: Linear

  public init(_ configuration: HireMLPConfiguration, generator: Generator?) throws {
    try configuration.validate()
    self.configuration = configuration
    let (depths, dims) = (configuration.depths, configuration.dims)
    patchEmbed = HireReduction(
      configuration.inputChannels, dims[0], kernel: 7, stride: 4, padding: 2, generator: generator)
    var rates = configuration.dropPathRule
      .rates(configuration.dropPath, depth: depths.reduce(0, +))[...]
    var network: [any Layer] = []
    for (stage, depth) in depths.enumerated() {
      if stage > 0 {
        network.append(
          HireReduction(
            dims[stage - 1], dims[stage], kernel: 3, stride: 2, padding: 1, generator: generator))
      }
      let blocks = zip(0..<depth, rates).map { block, rate in
        HireBlock(configuration, stage: stage, block: block, dropPath: rate, generator: generator)
      }
      rates = rates.dropFirst(depth)
      network.append(Sequential(blocks))
    }
    self.network = network
    norm = BatchNorm(dims[depths.count - 1])
    head = Linear(
      dims[depths.count - 1], configuration.classes, weight: weightInitializer,
      generator: generator)
  }

  public var stages: [Stage] {
    [Stage("patch_embed", patchEmbed.callAsFunction)]
      + network.enumerated().map { index, layer in
        let blocks = (layer as? Sequential)?.layers ?? [layer]
        return Stage("network.\(index)", blocks: blocks.map { block in { block($0) } })
      }
      + [Stage("norm", norm.callAsFunction)]
  }

  public func pool(_ x: Tensor) -> Tensor { x.mean([2, 3]) }  // [B, C, H, W] -> [B, C]
}
