// MLP-Mixer as a language encoder: the baseline of table 3 of gMLP's paper.
// Mixer: Tolstikhin, Houlsby, Kolesnikov, Beyer et al., 2021, arXiv 2105.01601; as a masked language
// model: Liu, Dai, So, Le, 2021, arXiv 2105.08050. No code of it was published.
//
// B texts, S tokens, n tokens of full length, C channels (d), D_S (d_s) and D_C (d_ffn) the widths of
// the two MLPs, V the vocabulary.
//
// Everything but the blocks is as in ``LanguageGatedMLP``: embedding, last norm, heads, initialisation
// and the places of dropout. A text shorter than n takes the leading columns of the token-mixing MLP's
// first matrix and the leading rows of its second, so that positions keep their weights.
//
// The paper prints 112 M parameters; its L = 24, d = 768, d_s = 384, d_ffn = 3072 give 140.4 M (at 128
// tokens), 18 blocks would give 111.4 M. Published: perplexity 5.34.

import Layers
import Torch

/// Mixes tokens: `fc2(activation(fc1(x)))` over S -> D_S -> S, for any S up to n.
public final class TokenMixingMLP: Module {
  let fc1: Linear, fc2: Linear
  private let activation: Activation

  init(_ configuration: LanguageMixerConfiguration, generator: Generator?) {
    let (length, hidden) = (configuration.sequenceLength, configuration.tokenFfnDim)
    fc1 = .language(length, hidden, generator: generator)
    fc2 = .language(hidden, length, generator: generator)
    activation = configuration.activation
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, S, C]
    let count = x.shape[1]
    if count == fc1.inputDimension { return fc2.overRows(activation(fc1.overRows(x))) }
    let first = fc1.weight.tensor.narrowed(1, 0..<count)
    let hidden = x.rowLinear(first, fc1.bias?.tensor)
    let second = fc2.weight.tensor.narrowed(0, 0..<count)
    return activation(hidden).rowLinear(second, fc2.bias?.tensor.narrowed(0, 0..<count))
  }
}

/// Mixes tokens, then channels, each by an MLP on a normalised residual branch.
public final class LanguageMixerBlock: Module {
  let norm1: LayerNorm, mlpTokens: TokenMixingMLP, norm2: LayerNorm, mlpChannels: MLP
  let drop: Dropout

  init(_ configuration: LanguageMixerConfiguration, generator: Generator?) {
    norm1 = LayerNorm(configuration.dim)
    mlpTokens = TokenMixingMLP(configuration, generator: generator)
    norm2 = LayerNorm(configuration.dim)
    mlpChannels = MLP(
      configuration.dim, hidden: configuration.ffnDim, activation: configuration.activation,
      weight: .truncatedNormal(standardDeviation: 0.02), generator: generator)
    drop = Dropout(configuration.dropout)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, S, C]
    let x = x + drop(mlpTokens(norm1(x)))
    return x + drop(mlpChannels(norm2(x)))
  }
}

/// An encoder of Mixer blocks.
public final class LanguageMixer: LanguageModel {
  public let configuration: LanguageMixerConfiguration

  let embedding: Embedding
  let blocks: [LanguageMixerBlock]
  let norm: LayerNorm
  let output: OutputBias?
  let pooler: Pooler?
  let classifier: Linear?
  let qaOutputs: Linear?
  let drop: Dropout

  public init(_ configuration: LanguageMixerConfiguration, generator: Generator?) throws {
    try configuration.validate()
    self.configuration = configuration
    embedding = Embedding(configuration.vocabulary, configuration.dim, generator: generator)
    blocks = (0..<configuration.depth).map { _ in
      LanguageMixerBlock(configuration, generator: generator)
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
      guard let weight = tensors["blocks.0.mlp_tokens.fc1.weight"] else { return nil }
      return weight.rank == 2 ? weight.shape[1] : nil
    }
  }
}
