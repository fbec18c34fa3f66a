// Vision Permutator: A Permutable MLP-Like Architecture for Visual Recognition.
// Hou, Jiang, Yuan, Cheng, Yan, Feng, 2021, arXiv 2106.12368.
// Reference: houqb/VisionPermutator, models/vip.py; names and layout: the same.
//
// B batch, H and W rows and columns of tokens, C channels in N segments of S = C / N; N = H = W.
//
// Deviations from the paper, as in its released code: Large/7 has 8 + 28 blocks at its two widths
// (table 1: 9 + 27, which would not give the printed 88 million parameters), and the branches'
// linear layers have no bias. `dropout` acts after the layers of the MLPs and after the projection
// (the reference takes the rate and does not use it). Weights start as in that code: truncated
// normal 0.02, zero biases, PyTorch's default for convolutions.
//
// Published: top-1 80.6 (table 2: 80.5), 81.5, 82.7 and 83.2 % for Small/14, Small/7, Medium/7 and
// Large/7, trained with stochastic depth 0.1, 0.1, 0.2 and 0.3 that grows linearly over all blocks
// (here a setting, at first 0). The released log of Large/7 ends at 83.1.
// Errata: the text gives Small 16 blocks, table and code 18; text and listing do not agree on which
// of N and S counts the segments.

import Layers
import Torch

private let weightInitializer = Initializer.truncatedNormal(standardDeviation: 0.02)

/// Mixes along rows, along columns and over channels by three linear layers and adds the results;
/// weighted: with weights for each channel, which a small MLP makes of the sum's mean.
public final class PermuteMLP: Module {
  let mlpC: Linear, mlpH: Linear, mlpW: Linear
  let reweight: MLP?
  let proj: Linear
  let projDrop: Dropout
  private let segments: Int

  init(_ configuration: VisionPermutatorConfiguration, stage: Int, generator: Generator?) {
    let dim = configuration.dims[stage]
    func linear(bias: Bool) -> Linear {
      Linear(
        dim, dim, weight: weightInitializer, bias: bias ? .zeros : nil, generator: generator)
    }
    mlpC = linear(bias: configuration.branchBias)
    mlpH = linear(bias: configuration.branchBias)
    mlpW = linear(bias: configuration.branchBias)
    reweight =
      configuration.weighted
      ? MLP(
        dim, hidden: dim / 4, output: 3 * dim, dropout: configuration.dropout,
        weight: weightInitializer, generator: generator) : nil
    proj = linear(bias: true)
    projDrop = Dropout(configuration.dropout)
    segments = configuration.segments[stage]
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, C]
    let (batch, dim) = (x.shape[0], x.shape[3])
    let parts = x.reshaped(Array(x.shape[..<3]) + [segments, -1])  // [B, H, W, N, S]
    let height = mixed(parts, [0, 3, 2, 1, 4], mlpH)  // over H and S
    let width = mixed(parts, [0, 1, 3, 2, 4], mlpW)  // over W and S
    let channels = mlpC(x).reshaped(parts.shape)  // over N and S
    guard let reweight else {
      return projDrop(proj((channels + width + height).reshaped(x.shape)))
    }
    let mean = height.mean([1, 2]) + width.mean([1, 2]) + channels.mean([1, 2])  // [B, N, S]
    let weights = reweight(mean.reshaped([batch, dim]))  // C -> C / 4 -> 3C
      .reshaped([batch, 1, 1, segments, -1, 3]).softmax()
      .permuted([5, 0, 1, 2, 3, 4]).contiguous()  // [3, B, 1, 1, N, S]
    let sum = (channels * weights.select(0, 2)).adding(width, times: weights.select(0, 1))
      .adding(height, times: weights.select(0, 0))
    return projDrop(proj(sum.reshaped(x.shape)))
  }

  /// `linear` over the last two dimensions of `parts` in the order `permutation`, its own inverse.
  private func mixed(_ parts: Tensor, _ permutation: [Int], _ linear: Linear) -> Tensor {
    let permuted = parts.permuted(permutation)
    return linear(permuted.flattened(from: 3)).reshaped(permuted.shape).permuted(permutation)
  }
}

/// Mixes tokens and channels by a ``PermuteMLP``, then channels by an MLP, on normalised branches.
public final class PermutatorBlock: Module {
  let norm1: LayerNorm, attn: PermuteMLP, norm2: LayerNorm, mlp: MLP
  let dropPath: DropPath
  private let skipDivisor: Double

  init(
    _ configuration: VisionPermutatorConfiguration, stage: Int, dropPath: Double,
    generator: Generator?
  ) {
    let dim = configuration.dims[stage]
    norm1 = LayerNorm(dim, epsilon: 1e-5)
    attn = PermuteMLP(configuration, stage: stage, generator: generator)
    norm2 = LayerNorm(dim, epsilon: 1e-5)
    mlp = MLP(
      dim, hidden: Int(configuration.mlpRatio[stage] * Double(dim)),
      dropout: configuration.dropout, weight: weightInitializer, generator: generator)
    self.dropPath = DropPath(dropPath)
    skipDivisor = configuration.skipDivisor
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, C]
    let x = x + scaled(dropPath(attn(norm1(x))))
    return x + scaled(dropPath(mlp(norm2(x))))  // C -> 3C -> C
  }

  private func scaled(_ branch: Tensor) -> Tensor {
    skipDivisor == 1 ? branch : branch / skipDivisor
  }
}

/// An item of ``VisionPermutator``'s network: [B, H, W, C] -> [B, H', W', C'].
protocol PermutatorStep: Module {
  func callAsFunction(_ x: Tensor) -> Tensor
}

/// The blocks of one stage.
public final class PermutatorStage: NumberedModule, PermutatorStep {
  let blocks: [PermutatorBlock]

  init(_ blocks: [PermutatorBlock]) { self.blocks = blocks }

  public var numbered: [(place: Int, module: any Module)] {
    blocks.enumerated().map { ($0, $1) }
  }

  func callAsFunction(_ x: Tensor) -> Tensor { blocks.reduce(x) { x, block in block(x) } }
}

/// Projects patches of a map to one vector each, by a convolution: the embedding of the image, and
/// what changes resolution and width between stages.
public final class PermutatorProjection: PermutatorStep {
  let proj: Convolution

  init(_ inputChannels: Int, _ outputChannels: Int, patch: ImageSize, generator: Generator?) {
    let size = (patch.height, patch.width)
    proj = Convolution(
      inputChannels, outputChannels, kernel: size, stride: size, weight: .torchDefault,
      bias: .torchDefaultBias(fanIn: inputChannels * patch.area), generator: generator)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    proj(x.permuted([0, 3, 1, 2])).permuted([0, 2, 3, 1]).contiguous()
  }
}

/// An image classifier of Permutator blocks on patches, with mean pooling.
public final class VisionPermutator: VisionModel {
  public let configuration: VisionPermutatorConfiguration
  public let tokenGrid: ImageSize?

  let patchEmbed: PermutatorProjection
  let network: [any PermutatorStep]
  let norm: LayerNorm
  public let head: Linear

  public init(_ configuration: VisionPermutatorConfiguration, generator: Generator?) throws {
    try configuration.validate()
    self.configuration = configuration
    let (dims, depths) = (configuration.dims, configuration.depths)
    tokenGrid = configuration.grids.first
    patchEmbed = PermutatorProjection(
      configuration.inputChannels, dims[0], patch: configuration.patchSize, generator: generator)
    let rates = configuration.dropPathRule.rates(
      configuration.dropPath, depth: depths.reduce(0, +))
    var network: [any PermutatorStep] = []
    var built = 0
    for (stage, depth) in depths.enumerated() {
      network.append(
        PermutatorStage(
          rates[built..<(built + depth)].map { rate in
            PermutatorBlock(configuration, stage: stage, dropPath: rate, generator: generator)
          }))
      built += depth
      guard stage + 1 < depths.count else { break }
      let halves = configuration.transitions[stage]
      if halves || dims[stage] != dims[stage + 1] {
        network.append(
          PermutatorProjection(
            dims[stage], dims[stage + 1], patch: halves ? 2 : 1, generator: generator))
      }
    }
    self.network = network
    norm = LayerNorm(dims[dims.count - 1], epsilon: 1e-5)
    head = Linear(
      dims[dims.count - 1], configuration.classes, weight: weightInitializer, generator: generator)
  }

  /// Maps are [B, H, W, C] but for the first, which is the convolution's [B, C, H, W].
  public var stages: [Stage] {
    [Stage("patch_embed", patchEmbed.proj.callAsFunction)]
      + network.enumerated().map { index, step in
        let blocks = (step as? PermutatorStage)?.blocks.map { $0.callAsFunction }
        let first = { (x: Tensor) in x.permuted([0, 2, 3, 1]).contiguous() }
        return Stage(
          "network.\(index)", blocks: (index == 0 ? [first] : []) + (blocks ?? [{ step($0) }]))
      }
      + [Stage("norm") { [norm] x in norm(x.flattened(from: 1, to: 2)) }]
  }

  public func pool(_ x: Tensor) -> Tensor { x.mean([1]) }  // [B, S, C] -> [B, C]
}
