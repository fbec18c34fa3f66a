import Layers
import Torch

/// `norm(activation(W x + b))`
final class BERTTransform: ModuleWithKeys {
  static let keys = ["norm": "LayerNorm"]

  let dense: Linear
  let norm: LayerNorm
  private let activation: Activation

  init(_ configuration: BERTConfiguration, generator: Generator?) {
    dense = .language(configuration.dim, configuration.dim, generator: generator)
    norm = LayerNorm(configuration.dim, epsilon: configuration.normEpsilon)
    activation = configuration.activation
  }

  func callAsFunction(_ x: Tensor) -> Tensor { norm(activation(dense(x))) }
}

final class BERTPredictions: Module {
  let bias: OutputBias
  let transform: BERTTransform

  init(_ configuration: BERTConfiguration, generator: Generator?) {
    bias = OutputBias(configuration.vocabulary, key: "", generator: generator)
    transform = BERTTransform(configuration, generator: generator)
  }
}

/// From states to the vocabulary: `transform(x) E^T + b` with the word embedding E.
final class BERTMaskedHead: Module {
  let predictions: BERTPredictions

  init(_ configuration: BERTConfiguration, generator: Generator?) {
    predictions = BERTPredictions(configuration, generator: generator)
  }

  func callAsFunction(_ x: Tensor, _ embedding: Embedding) -> Tensor {  // [..., C] -> [..., V]
    predictions.bias(predictions.transform(x), embedding)
  }
}
