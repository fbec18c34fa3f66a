// An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale.
// Dosovitskiy, Beyer, Kolesnikov, Weissenborn et al., 2021, arXiv 2010.11929.
// Training data-efficient image transformers & distillation through attention.
// Touvron, Cord, Douze, Massa et al., 2021, arXiv 2012.12877: the same network, trained otherwise.
// Reference: google-research/vision_transformer, facebookresearch/deit; names and layout: timm.
//
// B batch, S patches, C channels.
//
// Deviations: none from timm. The distillation token of arXiv 2012.12877 is left out. Weights start
// as in timm, whose truncated normals of deviation 0.02 are cut at 2, which cuts nothing: normal here.
//
// Published: top-1 72.2, 79.8 and 81.8 % for DeiT-Ti, S and B, trained with stochastic depth 0.1
// that grows linearly over all blocks (here a setting, at first 0); 79.67 % for ViT-B/16 trained on
// ImageNet alone, in arXiv 2105.01601.

import Layers
import Torch

private let weightInitializer = Initializer.normal(standardDeviation: 0.02)

/// Tokens attend to each other, then an MLP mixes the channels, each on a normalised residual branch.
public final class VisionTransformerBlock: Module {
  let norm1: LayerNorm, attn: MultiHeadAttention, norm2: LayerNorm, mlp: MLP
  let dropPath: DropPath

  init(_ configuration: VisionTransformerConfiguration, dropPath: Double, generator: Generator?) {
    let dim = configuration.dim
    norm1 = LayerNorm(dim)
    attn = MultiHeadAttention(
      dim, heads: configuration.heads, qkvBias: configuration.qkvBias,
      dropout: configuration.dropout, attentionDropout: configuration.attentionDropout,
      weight: weightInitializer, generator: generator)
    norm2 = LayerNorm(dim)
    mlp = MLP(
      dim, hidden: Int(configuration.mlpRatio * Double(dim)),
      activation: configuration.activation, dropout: configuration.dropout,
      weight: weightInitializer, generator: generator)
    self.dropPath = DropPath(dropPath)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, 1 + S, C]
    let x = x + dropPath(attn(norm1(x)))
    return mlp.residual(norm2, x, dropPath)  // x + mlp(norm2(x)), C -> 4C -> C
  }
}

/// An image classifier of transformer blocks on patches and a class token, which the head reads.
public final class VisionTransformer: VisionModel {
  public let configuration: VisionTransformerConfiguration
  public let tokenGrid: ImageSize?

  let clsToken: Parameter  // [1, 1, C]
  let posEmbed: Parameter  // [1, 1 + S, C], the class token's first
  let patchEmbed: PatchEmbedding
  let drop: Dropout
  let blocks: [VisionTransformerBlock]
  let norm: LayerNorm
  public let head: Linear

  public init(_ configuration: VisionTransformerConfiguration, generator: Generator?) throws {
    try configuration.validate()
    self.configuration = configuration
    let (dim, patch) = (configuration.dim, configuration.patchSize)
    let grid = try configuration.grid(patch: patch)
    tokenGrid = grid
    clsToken = Parameter(
      Initializer.normal(standardDeviation: 1e-6)([1, 1, dim], generator), decays: false)
    posEmbed = Parameter(weightInitializer([1, 1 + grid.area, dim], generator), decays: false)
    patchEmbed = PatchEmbedding(
      inputChannels: configuration.inputChannels, dimension: dim,
      patch: (patch.height, patch.width), weight: .torchDefault,
      bias: .torchDefaultBias(fanIn: configuration.inputChannels * patch.area),
      generator: generator)
    drop = Dropout(configuration.dropout)
    blocks = configuration.dropPathRule.rates(configuration.dropPath, depth: configuration.depth)
      .map { VisionTransformerBlock(configuration, dropPath: $0, generator: generator) }
    norm = LayerNorm(dim)
    head = Linear(dim, configuration.classes, weight: weightInitializer, generator: generator)
  }

  public var stages: [Stage] {
    [Stage("patch_embed", patchEmbed.callAsFunction), Stage("pos_embed", withPositions)]
      + blocks.enumerated().map { Stage("blocks.\($0)", $1.callAsFunction) }
      + [Stage("norm", norm.callAsFunction)]
  }

  private func withPositions(_ x: Tensor) -> Tensor {  // [B, S, C] -> [B, 1 + S, C]
    let token = clsToken.tensor.expanded([x.shape[0], -1, -1])
    return drop(Tensor.concatenated([token, x], dimension: 1) + posEmbed.tensor)
  }

  public func pool(_ x: Tensor) -> Tensor { x.select(1, 0) }  // [B, 1 + S, C] -> [B, C]
}
