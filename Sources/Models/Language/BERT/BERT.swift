// BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding.
// Devlin, Chang, Lee, Toutanova, 2018, arXiv 1810.04805. Reference: google-research/bert; names and
// layout: Hugging Face's transformers, whose numbers our fixtures are.
//
// B texts, S tokens, C channels, h heads, V the vocabulary. Norms come after the residual sums, with
// epsilon 1e-12; dropout (0.1) after the embedding's norm, after both output layers of a block before the
// residual, on the softmax, and before the classifier. Initialisation is Google's: truncated normals of
// standard deviation 0.02, biases 0.
//
// Variants of gMLP's paper (arXiv 2105.08050, table 3): `positions: relative` has no table of positions
// but biases of the attention's scores, one for each head and class of distances, in each block a table
// of its own. The classes are T5's (arXiv 1910.10683; both directions). Without `content_attention` these
// biases are the whole scores, and there are no queries and keys: its "96 M" are such a model's.
//
// Deviations: no next-sentence head; weights of one are left out when read. Its pooler is part of the
// model only to classify, as in Hugging Face's classes for the same tasks.
//
// Parameters: the papers' 110 M and 336 M are those of the encoder at gMLP's vocabulary of 32,000 (110.03,
// 335.61); with Google's 30,522 and the head there are 109.51 and 335.17.
//
// Published (gMLP's table 6; perplexity, SST-2, MNLI-m/mm, SQuAD v1.1 and v2.0 F1): base 92.7, 84.4,
// 88.5, 76.3 (Devlin), 4.17, 93.8, 85.6/85.7, 90.2, 78.6 (gMLP's authors); large 93.7, 86.6, 90.9, 81.8
// and 3.35, 94.3, 87.0/87.4, 92.0, 81.0. Table 3: 4.37, with relative positions 4.26, without content 5.64.

import Foundation
import Layers
import Torch

/// The norm of a sum of a token's vector, its position's and its segment's.
final class BERTEmbeddings: ModuleWithKeys {
  static let keys = ["norm": "LayerNorm"]

  let wordEmbeddings: Embedding
  let positionEmbeddings: Embedding?
  let tokenTypeEmbeddings: Embedding
  let norm: LayerNorm
  let drop: Dropout

  init(_ configuration: BERTConfiguration, generator: Generator?) {
    let dim = configuration.dim
    let padding = configuration.padToken
    wordEmbeddings = Embedding(
      configuration.vocabulary, dim, padding: padding < 0 ? nil : padding, generator: generator)
    positionEmbeddings =
      configuration.positions == .absolute
      ? Embedding(configuration.sequenceLength, dim, generator: generator) : nil
    tokenTypeEmbeddings = Embedding(configuration.segments, dim, generator: generator)
    norm = LayerNorm(dim, epsilon: configuration.normEpsilon)
    drop = Dropout(configuration.dropout)
  }

  func callAsFunction(_ tokens: Tensor, segments: Tensor?) -> Tensor {  // [B, S] -> [B, S, C]
    // Without segments all tokens are of the first.
    let types = segments.map { tokenTypeEmbeddings($0) } ?? tokenTypeEmbeddings.first(1)
    var x = wordEmbeddings(tokens) + types
    if let positionEmbeddings { x = x + positionEmbeddings.first(tokens.shape[1]) }
    return drop(norm(x))
  }
}

/// What a forward pass's blocks share.
struct BERTContext {
  /// [B, 1, 1, S], true where a key counts.
  let mask: Tensor?
  /// The class of each distance between tokens: [2S - 1]; of relative positions alone.
  let distances: Tensor?
}

/// Attention without its output layer: queries, keys, values, and biases for distances.
final class BERTSelfAttention: Module {
  let query: Linear?, key: Linear?, value: Linear
  let relativeAttentionBias: Embedding?  // [classes of distances, h]
  let attention: DotProductAttention

  init(_ configuration: BERTConfiguration, generator: Generator?) {
    func linear() -> Linear {
      .language(configuration.dim, configuration.dim, generator: generator)
    }
    query = configuration.contentAttention ? linear() : nil
    key = configuration.contentAttention ? linear() : nil
    value = linear()
    relativeAttentionBias =
      configuration.positions == .relative
      ? Embedding(configuration.relativeBuckets, configuration.heads, generator: generator) : nil
    attention = DotProductAttention(
      heads: configuration.heads, dropout: configuration.attentionDropout, countsProducts: true)
  }

  func callAsFunction(_ x: Tensor, _ context: BERTContext) -> Tensor {  // [B, S, C]
    let bias = bias(context)
    if let query, let key {
      return attention(query(x), key(x), value(x), mask: bias ?? context.mask)
    }
    guard let bias else { preconditionFailure("attention without content or positions") }
    return attention(scores: bias, value(x))
  }

  /// What is added to the scores, padding included: [1 or B, h, S, S].
  private func bias(_ context: BERTContext) -> Tensor? {
    guard let table = relativeAttentionBias, let distances = context.distances else { return nil }
    let diagonals = table(distances).transposed(0, 1)  // [h, 2S - 1]
    let bias = diagonals.toeplitz((distances.count + 1) / 2).unsqueezed(0)
    guard let mask = context.mask else { return bias }
    let padding = Tensor.zeros(mask.shape, device: mask.device).filled(
      where: mask.equal(0), with: -1e30)
    return bias + padding
  }
}

/// `norm(dropout(W y + b) + x)`: the end of both halves of a block.
final class BERTOutput: ModuleWithKeys {
  static let keys = ["norm": "LayerNorm"]

  let dense: Linear
  let norm: LayerNorm
  let drop: Dropout

  init(_ width: Int, _ configuration: BERTConfiguration, generator: Generator?) {
    dense = .language(width, configuration.dim, generator: generator)
    norm = LayerNorm(configuration.dim, epsilon: configuration.normEpsilon)
    drop = Dropout(configuration.dropout)
  }

  func callAsFunction(_ y: Tensor, residual x: Tensor) -> Tensor { norm(drop(dense(y)) + x) }
}

final class BERTAttention: ModuleWithKeys {
  static let keys = ["tokens": "self"]

  let tokens: BERTSelfAttention
  let output: BERTOutput

  init(_ configuration: BERTConfiguration, generator: Generator?) {
    tokens = BERTSelfAttention(configuration, generator: generator)
    output = BERTOutput(configuration.dim, configuration, generator: generator)
  }
}

final class BERTIntermediate: Module {
  let dense: Linear

  init(_ configuration: BERTConfiguration, generator: Generator?) {
    dense = .language(configuration.dim, configuration.ffnDim, generator: generator)
  }
}

/// A block: attention, then an MLP, each added to its input and normalised after it.
final class BERTLayer: Module {
  let attention: BERTAttention
  let intermediate: BERTIntermediate
  let output: BERTOutput
  private let activation: Activation

  init(_ configuration: BERTConfiguration, generator: Generator?) {
    attention = BERTAttention(configuration, generator: generator)
    intermediate = BERTIntermediate(configuration, generator: generator)
    output = BERTOutput(configuration.ffnDim, configuration, generator: generator)
    activation = configuration.activation
  }

  func callAsFunction(_ x: Tensor, _ context: BERTContext) -> Tensor {  // [B, S, C]
    let x = attention.output(attention.tokens(x, context), residual: x)
    return output(activation(intermediate.dense(x)), residual: x)
  }
}

final class BERTLayers: Module {
  let layer: [BERTLayer]

  init(_ layer: [BERTLayer]) { self.layer = layer }
}

/// The encoder, and the pooler where the task has one.
final class BERTEncoder: Module {
  let embeddings: BERTEmbeddings
  let encoder: BERTLayers
  let pooler: Pooler?

  init(_ configuration: BERTConfiguration, generator: Generator?) {
    embeddings = BERTEmbeddings(configuration, generator: generator)
    encoder = BERTLayers(
      (0..<configuration.depth).map { _ in BERTLayer(configuration, generator: generator) })
    pooler =
      configuration.task == .classes ? Pooler(configuration.dim, generator: generator) : nil
  }
}

/// An encoder of attention blocks.
public final class BERT: LanguageModel {
  public let configuration: BERTConfiguration

  let bert: BERTEncoder
  let cls: BERTMaskedHead?
  let classifier: Linear?
  let qaOutputs: Linear?
  let drop: Dropout

  public init(_ configuration: BERTConfiguration, generator: Generator?) throws {
    try configuration.validate()
    self.configuration = configuration
    let (task, dim) = (configuration.task, configuration.dim)
    bert = BERTEncoder(configuration, generator: generator)
    cls = task == .masked ? BERTMaskedHead(configuration, generator: generator) : nil
    classifier =
      task == .classes ? .language(dim, configuration.classes, generator: generator) : nil
    qaOutputs = task == .span ? .language(dim, 2, generator: generator) : nil
    drop = Dropout(configuration.dropout)
  }

  public func stages(mask: Tensor?, segments: Tensor?) -> [Stage] {
    let keys = mask.map { $0.greater(0).unsqueezed(1).unsqueezed(1) }
    func context(_ x: Tensor) -> BERTContext {
      let isRelative = configuration.positions == .relative
      return BERTContext(
        mask: keys, distances: isRelative ? distances(x.shape[1], on: x.device) : nil)
    }
    return [Stage("bert.embeddings") { self.bert.embeddings($0, segments: segments) }]
      + bert.encoder.layer.enumerated().map { index, layer in
        Stage("bert.encoder.layer.\(index)") { layer($0, context($0)) }
      }
  }

  public var head: LanguageHead {
    LanguageHead(
      vocabulary: cls.map { head in { head($0, self.bert.embeddings.wordEmbeddings) } },
      pooler: bert.pooler, classifier: classifier, span: qaOutputs, drop: drop)
  }

  public var segmentCount: Int? { configuration.segments }
  public static var heedsMask: Bool { true }

  /// T5's class of each distance `j - i` from `1 - S` to `S - 1` of a key j from a query i: [2S - 1].
  ///
  /// Half of the classes are for keys after the query. Of each half, half are single distances from 0 on,
  /// and the others grow with the logarithm up to the largest distance.
  package func distances(_ count: Int, on device: Device) -> Tensor {
    let half = configuration.relativeBuckets / 2
    let exact = half / 2
    let distance = Tensor.range(2 * count - 1, device: device).to(.float32) + Double(1 - count)
    let size = distance.abs()
    let growth =
      (size / Double(exact)).log() / log(Double(configuration.relativeDistance) / Double(exact))
      * Double(half - exact)
    let far = growth.clamped(to: 0...Double(half - exact - 1)).to(.int64) + Double(exact)
    let isFar = size.greater(Double(exact) - 0.5).to(.float32)
    let isAfter = distance.greater(0).to(.float32)
    return (size + isFar * (far - size) + isAfter * Double(half)).to(.int64)
  }
}
