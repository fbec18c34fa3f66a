// ResMLP: Feedforward networks for image classification with data-efficient training.
// Touvron, Bojanowski, Caron, Cord et al., 2021, arXiv 2105.03404.
// Reference: facebookresearch/deit, resmlp_models.py; names and layout: timm.
//
// B batch, S tokens, C channels.
//
// Deviations from the paper, as in its released code: after each branch there is a gain for each
// channel (LayerScale) and no bias. Weights start as in that code: truncated normal 0.02, zero
// biases, PyTorch's default for the patch embedding. The paper describes class-MLP only in words,
// and it was not released: each layer adds to the class token a linear mix of all tokens, then a
// channel MLP, with the blocks' affines and LayerScale; that gives the printed 17.7, 32.4 and 47.1
// million parameters.

import Layers
import Torch

private let weightInitializer = Initializer.truncatedNormal(standardDeviation: 0.02)

/// Mixes tokens by one matrix, then channels by an MLP; affines in the place of norms.
public final class ResMLPBlock: Module {
  let ls1: LayerScale, ls2: LayerScale
  let norm1: Affine, linearTokens: Linear, norm2: Affine, mlpChannels: MLP
  let dropPath: DropPath

  init(
    _ configuration: ResMLPConfiguration, tokenCount: Int, dropPath: Double, generator: Generator?
  ) {
    let dim = configuration.dim
    ls1 = LayerScale(dim, start: configuration.layerScale)
    ls2 = LayerScale(dim, start: configuration.layerScale)
    norm1 = Affine(dim)
    linearTokens = Linear(
      tokenCount, tokenCount, weight: weightInitializer, generator: generator)
    norm2 = Affine(dim)
    mlpChannels = MLP(
      dim, hidden: Int(configuration.mlpRatio * Double(dim)),
      activation: configuration.activation, dropout: configuration.dropout,
      weight: weightInitializer, generator: generator)
    self.dropPath = DropPath(dropPath)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, S, C]
    // x + ls1 * linearTokens(norm1(x)), S -> S; x + ls2 * mlpChannels(norm2(x)), C -> 4C -> C
    let x = linearTokens.residualOverRows(norm1, x, scale: ls1, dropPath)
    return mlpChannels.residual(norm2, x, scale: ls2, dropPath)
  }
}

/// Gathers the tokens into the class token, which alone changes: [B, 1, C], [B, S, C] -> [B, 1, C].
public final class ClassMLPLayer: Module {
  let ls1: LayerScale, ls2: LayerScale
  let norm1: Affine, linearTokens: Linear, norm2: Affine, mlpChannels: MLP

  init(_ configuration: ResMLPConfiguration, tokenCount: Int, generator: Generator?) {
    let dim = configuration.dim
    ls1 = LayerScale(dim, start: configuration.layerScale)
    ls2 = LayerScale(dim, start: configuration.layerScale)
    norm1 = Affine(dim)
    linearTokens = Linear(
      1 + tokenCount, 1, weight: weightInitializer, generator: generator)
    norm2 = Affine(dim)
    mlpChannels = MLP(
      dim, hidden: Int(configuration.mlpRatio * Double(dim)),
      activation: configuration.activation, dropout: configuration.dropout,
      weight: weightInitializer, generator: generator)
  }

  func callAsFunction(_ token: Tensor, _ x: Tensor) -> Tensor {
    let all = norm1(Tensor.concatenated([token, x], dimension: 1))
    let token = token + ls1(linearTokens.overRows(all))  // 1 + S -> 1
    return mlpChannels.residual(norm2, token, scale: ls2)
  }
}

/// The learned class token and the layers that gather the patches into it.
public final class ClassMLP: Module {
  let token: Parameter  // [1, 1, C]
  let layers: [ClassMLPLayer]

  init(_ configuration: ResMLPConfiguration, tokenCount: Int, generator: Generator?) {
    token = Parameter(weightInitializer([1, 1, configuration.dim], generator), decays: false)
    layers = (0..<configuration.classMLPDepth).map { _ in
      ClassMLPLayer(configuration, tokenCount: tokenCount, generator: generator)
    }
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, S, C] -> [B, 1, C]
    layers.reduce(token.tensor.expanded([x.shape[0], -1, -1])) { token, layer in layer(token, x) }
  }
}

/// An image classifier of ResMLP blocks on patches, with mean pooling or class-MLP.
public final class ResMLP: VisionModel {
  public let configuration: ResMLPConfiguration
  public let tokenGrid: ImageSize?

  let stem: PatchEmbedding
  let blocks: [ResMLPBlock]
  let classMLP: ClassMLP?
  let norm: Affine
  public let head: Linear

  public init(_ configuration: ResMLPConfiguration, generator: Generator?) throws {
    try configuration.validate()
    self.configuration = configuration
    let (dim, patch) = (configuration.dim, configuration.patchSize)
    let grid = try configuration.grid(patch: patch)
    tokenGrid = grid
    let fanIn = configuration.inputChannels * patch.area
    stem = PatchEmbedding(
      inputChannels: configuration.inputChannels, dimension: dim,
      patch: (patch.height, patch.width), weight: .torchDefault,
      bias: .torchDefaultBias(fanIn: fanIn), generator: generator)
    blocks = configuration.dropPathRule.rates(configuration.dropPath, depth: configuration.depth)
      .map { rate in
        ResMLPBlock(configuration, tokenCount: grid.area, dropPath: rate, generator: generator)
      }
    classMLP =
      configuration.classMLPDepth > 0
      ? ClassMLP(configuration, tokenCount: grid.area, generator: generator) : nil
    norm = Affine(dim)
    head = Linear(dim, configuration.classes, weight: weightInitializer, generator: generator)
  }

  public var stages: [Stage] {
    [Stage("stem", stem.callAsFunction)]
      + blocks.enumerated().map { Stage("blocks.\($0)", $1.callAsFunction) }
      + (classMLP.map { [Stage("class_mlp", $0.callAsFunction)] } ?? [])
      + [Stage("norm", norm.callAsFunction)]
  }

  public func pool(_ x: Tensor) -> Tensor { x.mean([1]) }  // [B, S or 1, C] -> [B, C]
}
