// gMLP and aMLP for language: Pay Attention to MLPs.
// Liu, Dai, So, Le, 2021, arXiv 2105.08050. No official code or weights exist; this follows the paper,
// keys and the choices below are those of the reference written for this project's fixtures.
//
// B texts, S tokens, n tokens of full length, C channels (d_model), F the width inside a block
// (d_ffn), V the vocabulary.
//
// The paper leaves open, and here is: a norm after the last block and a bias per token of the
// vocabulary (each below the resolution of the printed parameter counts); epsilon 1e-6 of all norms;
// truncated normals of standard deviation 0.02 for linear layers and the embedding (BERT's); spatial
// weights of standard deviation 1e-6 ("near zero") with biases 1, but for the additive function biases
// 0, and for the linear one, which would pass nothing on, weights of 1 / sqrt(n) and biases 0; dropout
// after the embedding, after `fc2` before the residual, and before the classifier, as in BERT; a text's
// vector by BERT's pooler; and text shorter than n (``SpatialProjection``). As in the paper there are no
// positions, no segments, and padding is not masked.
//
// Table 3 says d_ffn = 3072 for all gMLP rows; its 92 M of the rows without a split are those of 2048.
//
// Published: perplexity, SST-2, MNLI-m/mm, SQuAD v1.1 and v2.0 F1 (table 6): gMLP base 4.28, 94.2,
// 83.7/84.1, 86.7, 70.1; aMLP base 3.95, 93.4, 85.9/85.8, 90.7, 80.9; gMLP large 3.32, 94.8,
// 86.2/86.5, 89.5, 78.3; aMLP large 3.19, 94.8, 88.4/88.4, 92.2, 85.4; gMLP xlarge 2.89, 95.6,
// 87.7/87.7, 90.9, 82.1.

import Layers
import Torch

/// Attention with one head beside a gate: C -> a -> F/2, `out(softmax(q k^T / sqrt(a)) v)`.
public final class TinyAttention: Module {
  let qkv: Linear, out: Linear
  let attention: DotProductAttention

  init(_ configuration: LanguageGatedMLPConfiguration, generator: Generator?) {
    let width = configuration.attentionDim
    qkv = .language(configuration.dim, 3 * width, generator: generator)
    out = .language(width, configuration.gateDim, generator: generator)
    attention = DotProductAttention(
      heads: 1, dropout: configuration.attentionDropout, countsProducts: true)
  }

  func callAsFunction(_ x: Tensor) -> Tensor { out(attention(qkv: qkv(x))) }
}

/// Mixes tokens within a block, by default one half of the channels gating the other:
/// `s = u * f(v)` with `f(v) = W norm(v) + b (+ attention(z))` over tokens.
public final class SpatialGate: Module {
  let norm: LayerNorm
  let spatial: SpatialProjection
  let attention: TinyAttention?
  private let function: SpatialFunction

  package init(_ configuration: LanguageGatedMLPConfiguration, generator: Generator?) {
    let length = configuration.sequenceLength
    function = configuration.spatialFunction
    norm = LayerNorm(configuration.gateDim)
    spatial = SpatialProjection(
      tokenCount: length, weights: configuration.spatialWeights,
      weight: .normal(
        standardDeviation: function == .linear ? (1 / Double(length)).squareRoot() : 1e-6),
      bias: function == .linear || function == .additive ? .zeros : .ones, generator: generator)
    attention =
      configuration.attentionDim > 0 ? TinyAttention(configuration, generator: generator) : nil
  }

  /// - Parameter input: the block's normalised input z, which attention reads.
  package func callAsFunction(_ x: Tensor, input: Tensor) -> Tensor {  // [B, S, F] -> [B, S, F/2]
    let parts = function == .split ? x.chunked(2, dimension: -1) : [x, x]
    var mixed = spatial(norm(parts[1]))
    if let attention { mixed = mixed + attention(input) }
    return switch function {
    case .linear: mixed
    case .additive: parts[0] + mixed
    case .multiplicative, .split: parts[0] * mixed
    }
  }
}

/// One residual branch: `x + fc2(gate(activation(fc1(norm(x)))))`, C -> F -> F/2 -> C.
public final class LanguageGatedMLPBlock: Module {
  let norm: LayerNorm, fc1: Linear, gate: SpatialGate, fc2: Linear
  let drop: Dropout
  private let activation: Activation

  init(_ configuration: LanguageGatedMLPConfiguration, generator: Generator?) {
    norm = LayerNorm(configuration.dim)
    fc1 = .language(configuration.dim, configuration.ffnDim, generator: generator)
    gate = SpatialGate(configuration, generator: generator)
    fc2 = .language(configuration.gateDim, configuration.dim, generator: generator)
    drop = Dropout(configuration.dropout)
    activation = configuration.activation
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, S, C]
    let z = norm(x)
    return x + drop(fc2(gate(activation(fc1(z)), input: z)))
  }
}

/// An encoder of gMLP blocks, or, with attention in their gates, of aMLP blocks.
public final class LanguageGatedMLP: LanguageModel {
  public let configuration: LanguageGatedMLPConfiguration

  let embedding: Embedding
  let blocks: [LanguageGatedMLPBlock]
  let norm: LayerNorm
  let output: OutputBias?
  let pooler: Pooler?
  let classifier: Linear?
  let qaOutputs: Linear?
  let drop: Dropout

  public init(_ configuration: LanguageGatedMLPConfiguration, generator: Generator?) throws {
    try configuration.validate()
    self.configuration = configuration
    embedding = Embedding(configuration.vocabulary, configuration.dim, generator: generator)
    blocks = (0..<configuration.depth).map { _ in
      LanguageGatedMLPBlock(configuration, generator: generator)
    }
    norm = LayerNorm(configuration.dim)
    let heads = PlainHeads(configuration, generator: generator)
    output = heads.output
    pooler = heads.pooler
    classifier = heads.classifier
    qaOutputs = heads.qaOutputs
    drop = Dropout(configuration.dropout)
  }

  public func stages(mask: Tensor?, segments: Tensor?) -> [Stage] {
    [Stage("embedding") { self.drop(self.embedding($0)) }]
      + blocks.enumerated().map { Stage("blocks.\($0)", $1.callAsFunction) }
      + [Stage("norm", norm.callAsFunction)]
  }

  public var head: LanguageHead {
    LanguageHead(
      vocabulary: output.map { output in { output($0, self.embedding) } }, pooler: pooler,
      classifier: classifier, span: qaOutputs, drop: drop)
  }

  public static var weights: LanguageWeights {
    .plain { tensors in
      guard let weight = tensors["blocks.0.gate.spatial.weight"] else { return nil }
      return weight.rank == 1 ? (weight.shape[0] + 1) / 2 : weight.shape.first
    }
  }
}
