// gMLP: Pay Attention to MLPs.
// Liu, Dai, So, Le, 2021, arXiv 2105.08050. No official code or weights exist; names, layout and
// initialisation follow timm (mlp_mixer.py), whose numbers our fixtures are.
//
// B batch, S tokens, C channels (d_model), F the width inside a block (d_ffn).
//
// Deviations: mean pooling and a linear head. The paper's parameter counts suggest a class token
// and a pooler, which no public implementation has. The norm inside the gate has epsilon 1e-5 and
// all others 1e-6, as in timm.

import Layers
import Torch

/// Multiplies one half of the channels by a linear mix of the other half over tokens:
/// `y = u * (W norm(v) + b)` for `[u, v] = x`; `W` starts near 0 and `b` at 1, so `y` near `u`.
public final class SpatialGatingUnit: Module {
  let norm: LayerNorm
  let proj: Linear  // W [S, S], b [S]

  init(width: Int, tokenCount: Int, generator: Generator?) {
    norm = LayerNorm(width / 2, epsilon: 1e-5)
    proj = Linear(
      tokenCount, tokenCount, weight: .normal(standardDeviation: 1e-6), bias: .ones,
      generator: generator)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, S, F] -> [B, S, F/2]
    let halves = x.chunked(2, dimension: -1)
    return halves[0] * proj.overRows(norm(halves[1]))
  }
}

/// `fc2(gate(activation(fc1(x))))`: C -> F -> F/2 -> C.
public final class GatedChannelMLP: Module {
  let fc1: Linear, gate: SpatialGatingUnit, fc2: Linear, drop: Dropout
  let activation: Activation

  init(_ configuration: GatedMLPConfiguration, tokenCount: Int, generator: Generator?) {
    let (dim, hidden) = (configuration.dim, configuration.hidden)
    let bias = Initializer.normal(standardDeviation: 1e-6)
    fc1 = Linear(dim, hidden, weight: .xavierUniform, bias: bias, generator: generator)
    gate = SpatialGatingUnit(width: hidden, tokenCount: tokenCount, generator: generator)
    fc2 = Linear(hidden / 2, dim, weight: .xavierUniform, bias: bias, generator: generator)
    drop = Dropout(configuration.dropout)
    activation = configuration.activation
  }

  func callAsFunction(_ x: Tensor) -> Tensor { drop(fc2(gate(drop(activation(fc1(x)))))) }

  /// `x + dropPath(self(norm(x)))`
  func residual(_ norm: LayerNorm, _ x: Tensor, _ dropPath: DropPath) -> Tensor {
    let layers = { (x: Tensor, dropPath: DropPath?) in
      let y = self(norm(x))
      return x + (dropPath?(y) ?? y)
    }
    if drop.isActive { return layers(x, dropPath) }
    return gatedResidual(
      norm, x, first: fc1, activation: activation, gateNorm: gate.norm, gate: gate.proj,
      second: fc2, dropPath, layers: layers)
  }
}

/// One residual branch that mixes channels and, through its gate, tokens.
public final class GatedMLPBlock: Module {
  let norm: LayerNorm, mlpChannels: GatedChannelMLP
  let dropPath: DropPath

  init(
    _ configuration: GatedMLPConfiguration, tokenCount: Int, dropPath: Double,
    generator: Generator?
  ) {
    norm = LayerNorm(configuration.dim)
    mlpChannels = GatedChannelMLP(configuration, tokenCount: tokenCount, generator: generator)
    self.dropPath = DropPath(dropPath)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, S, C]
    mlpChannels.residual(norm, x, dropPath)  // x + mlpChannels(norm(x))
  }
}

/// An image classifier of gMLP blocks on patches, with mean pooling.
public final class GatedMLP: VisionModel {
  public let configuration: GatedMLPConfiguration
  public let tokenGrid: ImageSize?

  let stem: PatchEmbedding
  let blocks: [GatedMLPBlock]
  let norm: LayerNorm
  public let head: Linear

  public init(_ configuration: GatedMLPConfiguration, generator: Generator?) throws {
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
        GatedMLPBlock(configuration, tokenCount: grid.area, dropPath: rate, generator: generator)
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
