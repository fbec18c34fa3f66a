// MLP-Mixer: An all-MLP Architecture for Vision.
// Tolstikhin, Houlsby, Kolesnikov, Beyer et al., 2021, arXiv 2105.01601.
// Reference: google-research/vision_transformer, vit_jax/models_mixer.py; names and layout: timm.
//
// B batch, S tokens, C channels, D_S and D_C the widths of the two MLPs.
//
// Deviations: GELU is exact by default as in timm (Flax: tanh, `activation: gelu_tanh`). Stochastic
// depth rescales the kept samples as timm and scenic do; big_vision does not. Its rate grows
// linearly with depth as in the paper (timm: constant); both parts of a block share it.
// Initialisation is Flax's: LeCun normal, zero biases, zero head.

import Layers
import Torch

/// Mixes tokens, then channels, each by an MLP on a normalised residual branch.
public final class MixerBlock: Module {
  let norm1: LayerNorm, mlpTokens: MLP, norm2: LayerNorm, mlpChannels: MLP
  let dropPath: DropPath

  init(
    _ dim: Int, tokenCount: Int, tokenHidden: Int, channelHidden: Int, activation: Activation,
    dropout: Double, dropPath: Double, generator: Generator?
  ) {
    func mlp(_ dimension: Int, hidden: Int) -> MLP {
      MLP(
        dimension, hidden: hidden, activation: activation, dropout: dropout, generator: generator)
    }
    norm1 = LayerNorm(dim)
    mlpTokens = mlp(tokenCount, hidden: tokenHidden)
    norm2 = LayerNorm(dim)
    mlpChannels = mlp(dim, hidden: channelHidden)
    self.dropPath = DropPath(dropPath)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, S, C]
    let x = mlpTokens.residualOverRows(norm1, x, dropPath)  // x + mlpTokens(norm1(x))
    return mlpChannels.residual(norm2, x, dropPath)  // x + mlpChannels(norm2(x))
  }
}

/// An image classifier of Mixer blocks on patches, with mean pooling.
public final class Mixer: VisionModel {
  public let configuration: MixerConfiguration
  public let tokenGrid: ImageSize?

  let stem: PatchEmbedding
  let blocks: [MixerBlock]
  let norm: LayerNorm
  public let head: Linear

  public init(_ configuration: MixerConfiguration, generator: Generator?) throws {
    try configuration.validate()
    self.configuration = configuration
    let (dim, patch) = (configuration.dim, configuration.patchSize)
    let grid = try configuration.grid(patch: patch)
    tokenGrid = grid
    stem = PatchEmbedding(
      inputChannels: configuration.inputChannels, dimension: dim,
      patch: (patch.height, patch.width), generator: generator)
    blocks = configuration.dropPathRule.rates(configuration.dropPath, depth: configuration.depth)
      .map { rate in
        MixerBlock(
          dim, tokenCount: grid.area, tokenHidden: configuration.tokenHidden,
          channelHidden: configuration.channelHidden, activation: configuration.activation,
          dropout: configuration.dropout, dropPath: rate, generator: generator)
      }
    norm = LayerNorm(dim)
    head = Linear(dim, configuration.classes, weight: .zeros, generator: generator)
  }

  public var stages: [Stage] {
    [Stage("stem", stem.callAsFunction)]
      + blocks.enumerated().map { Stage("blocks.\($0)", $1.callAsFunction) }
      + [Stage("norm", norm.callAsFunction)]
  }

  public func pool(_ x: Tensor) -> Tensor { x.mean([1]) }  // [B, S, C] -> [B, C]
}
