import Layers
import Torch

/// What a language model makes of its states.
public struct LanguageHead {
  /// The states [B, S, C] as they enter the last layer: themselves, or, to classify, one vector for
  /// each text [B, C].
  let features: (Tensor) -> Tensor
  /// The last layer.
  let logits: (Tensor) -> Tensor

  /// A head that answers for each token: [..., C] -> [..., V] or [..., 2].
  init(eachToken logits: @escaping (Tensor) -> Tensor) {
    features = { $0 }
    self.logits = logits
  }

  /// A head that answers for each text: [B, S, C] -> [B, C] -> [B, K].
  init(features: @escaping (Tensor) -> Tensor, logits: @escaping (Tensor) -> Tensor) {
    self.features = features
    self.logits = logits
  }
}

/// A text's vector from the state of its first token, `<cls>`: `tanh(W x + b)` (BERT, arXiv
/// 1810.04805).
final class Pooler: Module {
  let dense: Linear

  init(_ dimension: Int, generator: Generator?) {
    dense = .language(dimension, dimension, generator: generator)
  }

  func callAsFunction(_ states: Tensor) -> Tensor {  // [B, S, C] -> [B, C]
    dense(states.select(1, 0)).tanh()
  }
}

/// The numbers that a masked-language-model head adds to the logits of each token.
final class OutputBias: ModuleWithEntries {
  private let bias: Parameter  // [V]
  private let key: String

  var ownEntries: [(key: String, entry: ModuleEntry)] { [(key, .parameter(bias))] }

  /// - Parameter key: of the numbers; empty where the module's key is theirs.
  init(_ vocabulary: Int, key: String = "bias", generator: Generator?) {
    bias = Parameter(Initializer.zeros([vocabulary], generator))
    self.key = key
  }

  /// `x E^T + b` with the embedding E [V, C], which is the output matrix as well: [..., C] -> [..., V].
  func callAsFunction(_ x: Tensor, _ embedding: Embedding) -> Tensor {
    let table = embedding.weight.operand
    return traced(x.linear(table, bias.tensor), multiplyAdds: x.count * table.shape[0])
  }
}

/// The heads of the families without one of their own: as BERT's, but for the masked one, which is
/// `states E^T + b`.
///
/// To classify, the paper of gMLP takes the first token's state, "as BERT"; so there is a ``Pooler``, too.
struct PlainHeads {
  let output: OutputBias?
  let pooler: Pooler?
  let classifier: Linear?
  let qaOutputs: Linear?

  init(_ configuration: some LanguageConfiguration, generator: Generator?) {
    let (task, dim) = (configuration.task, configuration.dim)
    output = task == .masked ? OutputBias(configuration.vocabulary, generator: generator) : nil
    pooler = task == .classes ? Pooler(dim, generator: generator) : nil
    classifier =
      task == .classes ? .language(dim, configuration.classes, generator: generator) : nil
    qaOutputs = task == .span ? .language(dim, 2, generator: generator) : nil
  }
}

extension LanguageHead {
  /// The head that there is of those that a task may have.
  ///
  /// - Parameter vocabulary: from states to the logits of the vocabulary.
  init(
    vocabulary: ((Tensor) -> Tensor)?, pooler: Pooler?, classifier: Linear?, span: Linear?,
    drop: Dropout
  ) {
    if let vocabulary {
      self.init(eachToken: vocabulary)
    } else if let classifier {
      self.init(features: { pooler?($0) ?? $0.select(1, 0) }, logits: { classifier(drop($0)) })
    } else if let span {
      self.init(eachToken: span.callAsFunction)
    } else {
      preconditionFailure("a language model without a head")
    }
  }
}

extension Linear {
  /// A layer that starts as BERT's do: a truncated normal of standard deviation 0.02, no bias.
  static func language(_ input: Int, _ output: Int, generator: Generator?) -> Linear {
    Linear(
      input, output, weight: .truncatedNormal(standardDeviation: 0.02), generator: generator)
  }
}
