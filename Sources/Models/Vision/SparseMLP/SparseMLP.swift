// Sparse-MLP: A Fully-MLP Architecture with Conditional Computation.
// Lou, Xue, Zheng, You, 2021, arXiv 2109.02008.
// Reference: none was published; this follows the paper's formulas and its figure 1.
//
// B batch, S tokens, C channels; S' tokens and C' channels inside a sparse block, D_S' and D_C' the
// hidden dimensions of its experts.
//
// Read into the paper, or against it: 0 channel experts is an ordinary MLP. The k largest gates
// weigh the experts as they are. The router's noise acts in training alone; the importance loss is
// free of it, the load loss takes the noisy k-th largest logit (as V-MoE, arXiv 2106.05974).
// Sparse-S keeps C' = C as table 2 has it, not C / 2 as the text says. LayerNorm 1e-6, exact GELU,
// a last LayerNorm, mean pooling and the initialisation (LeCun normal, also for the router; zero
// biases, zero head) are the Mixer's. The stochastic depth rate grows over all blocks and holds for
// the residual branches; the paper uses it and tells no rate.
//
// Published: top-1 71.3, 77.9 and 79.2 % for Sparse-S, B and L, pre-trained on ImageNet without
// labels (MoCo v3) and then fine-tuned.
// Errata: Sparse-S has 22 million parameters in table 2 and 21 in table 3; the gains over Mixer-B
// and Mixer-L that the text tells (2.6 and 3.3 points) are 2.0 and 2.5 in table 3.

import Layers
import Torch

/// A dense or a sparse block: [B, S, C] -> [B, S, C].
protocol SparseMLPBlock: Module {
  func callAsFunction(_ x: Tensor) -> Tensor
}

extension MixerBlock: SparseMLPBlock {}

/// Re-represents images with more tokens of fewer channels: [B, S, C] -> [B, S', C'].
public final class Represent: Module {
  let norm1: LayerNorm, tokens: Linear, norm2: LayerNorm, channels: Linear
  private let activation: Activation

  init(
    tokens: (Int, Int), channels: (Int, Int), activation: Activation, generator: Generator?
  ) {
    norm1 = LayerNorm(channels.0)
    self.tokens = Linear(tokens.0, tokens.1, generator: generator)
    norm2 = LayerNorm(channels.0)
    self.channels = Linear(channels.0, channels.1, generator: generator)
    self.activation = activation
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let x = activation(tokens(norm1(x).transposed(1, 2))).transposed(1, 2)  // S -> S'
    return activation(channels(norm2(x)))  // C -> C'
  }
}

/// The way back from a sparse block's inside: [B, S', C'] -> [B, S, C].
public final class RepresentBack: Module {
  let norm1: LayerNorm, channels: Linear, norm2: LayerNorm, tokens: Linear
  private let activation: Activation

  init(
    tokens: (Int, Int), channels: (Int, Int), activation: Activation, generator: Generator?
  ) {
    norm1 = LayerNorm(channels.0)
    self.channels = Linear(channels.0, channels.1, generator: generator)
    norm2 = LayerNorm(channels.1)
    self.tokens = Linear(tokens.0, tokens.1, generator: generator)
    self.activation = activation
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let x = norm2(activation(channels(norm1(x))))  // C' -> C
    return activation(tokens(x.transposed(1, 2))).transposed(1, 2)  // S' -> S
  }
}

/// A norm and experts, or one MLP, over the last dimension.
public final class ExpertMixing: Module {
  let norm: LayerNorm
  let moe: MixtureOfExperts?
  let mlp: MLP?
  private let overTokens: Bool

  /// - Parameters:
  ///   - dimension: what the experts take: the number of tokens or of channels.
  ///   - overTokens: whether an item is a channel with its tokens, or a token with its channels.
  init(
    _ configuration: SparseMLPConfiguration, dimension: Int, channels: Int, hidden: Int,
    experts: Int, topK: Int, overTokens: Bool, generator: Generator?
  ) {
    norm = LayerNorm(channels)
    moe =
      experts == 0
      ? nil
      : MixtureOfExperts(
        dimension, hidden: hidden, experts: experts, topK: topK, noise: configuration.routerNoise,
        balanceWeight: configuration.auxiliaryLossWeight, activation: configuration.activation,
        dropout: configuration.dropout, generator: generator)
    mlp =
      experts > 0
      ? nil
      : MLP(
        dimension, hidden: hidden, activation: configuration.activation,
        dropout: configuration.dropout, generator: generator)
    self.overTokens = overTokens
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, S', C']
    let items = overTokens ? norm(x).transposed(1, 2) : norm(x)
    let mixed = moe?(items) ?? mlp?(items) ?? items
    return overTokens ? mixed.transposed(1, 2) : mixed
  }
}

/// Mixes tokens, then channels, by experts on more tokens of fewer channels.
public final class SparseBlock: Module, SparseMLPBlock {
  let represent1: Represent?
  let tokens: ExpertMixing, channels: ExpertMixing
  let represent2: RepresentBack?
  let dropPath: DropPath

  init(
    _ configuration: SparseMLPConfiguration, tokenCount: Int, dropPath: Double,
    generator: Generator?
  ) {
    let (dim, represents) = (configuration.dim, configuration.reRepresents)
    let innerTokens = represents ? configuration.sparseTokens : tokenCount
    let innerDim = represents ? configuration.sparseDim : dim
    represent1 =
      represents
      ? Represent(
        tokens: (tokenCount, innerTokens), channels: (dim, innerDim),
        activation: configuration.activation, generator: generator) : nil
    tokens = ExpertMixing(
      configuration, dimension: innerTokens, channels: innerDim,
      hidden: configuration.expertTokensHidden, experts: configuration.tokenExperts,
      topK: configuration.tokenTopK, overTokens: true, generator: generator)
    channels = ExpertMixing(
      configuration, dimension: innerDim, channels: innerDim,
      hidden: configuration.expertChannelsHidden, experts: configuration.channelExperts,
      topK: configuration.channelTopK, overTokens: false, generator: generator)
    represent2 =
      represents
      ? RepresentBack(
        tokens: (innerTokens, tokenCount), channels: (innerDim, dim),
        activation: configuration.activation, generator: generator) : nil
    self.dropPath = DropPath(dropPath)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, S, C]
    let x = represent1?(x) ?? x  // [B, S', C']
    let y = x + dropPath(tokens(x))
    let z = y + dropPath(channels(y))
    return represent2?(z) ?? z
  }
}

/// An image classifier of Mixer blocks and blocks of experts on patches, with mean pooling.
public final class SparseMLP: VisionModel {
  public let configuration: SparseMLPConfiguration
  public let tokenGrid: ImageSize?

  let stem: PatchEmbedding
  let blocks: [any SparseMLPBlock]
  let norm: LayerNorm
  public let head: Linear

  public init(_ configuration: SparseMLPConfiguration, generator: Generator?) throws {
    try configuration.validate()
    self.configuration = configuration
    let (dim, patch) = (configuration.dim, configuration.patchSize)
    let grid = try configuration.grid(patch: patch)
    tokenGrid = grid
    stem = PatchEmbedding(
      inputChannels: configuration.inputChannels, dimension: dim,
      patch: (patch.height, patch.width), generator: generator)
    let count = configuration.depth + configuration.sparseDepth
    let sparse =
      configuration.sparsePosition == .last
      ? configuration.depth..<count : 0..<configuration.sparseDepth
    blocks = configuration.dropPathRule.rates(configuration.dropPath, depth: count)
      .enumerated().map { index, rate -> any SparseMLPBlock in
        sparse.contains(index)
          ? SparseBlock(
            configuration, tokenCount: grid.area, dropPath: rate, generator: generator)
          : MixerBlock(
            dim, tokenCount: grid.area, tokenHidden: configuration.tokenHidden,
            channelHidden: configuration.channelHidden, activation: configuration.activation,
            dropout: configuration.dropout, dropPath: rate, generator: generator)
      }
    norm = LayerNorm(dim)
    head = Linear(dim, configuration.classes, weight: .zeros, generator: generator)
  }

  public var stages: [Stage] {
    [Stage("stem", stem.callAsFunction)]
      + blocks.enumerated().map { index, block in Stage("blocks.\(index)") { block($0) } }
      + [Stage("norm", norm.callAsFunction)]
  }

  public func pool(_ x: Tensor) -> Tensor { x.mean([1]) }  // [B, S, C] -> [B, C]
}
