import Torch

/// The gradient of a loss with respect to a module's trainable parameters.
public struct Gradients {
  /// One parameter's gradient, of its shape; zero where the loss does not depend on it.
  public struct Entry {
    public let name: String
    public let parameter: Parameter
    public let gradient: Tensor
  }

  public let entries: [Entry]

  public subscript(name: String) -> Tensor? { entries.first { $0.name == name }?.gradient }

  /// Adds `other`, of the same module.
  public func addInPlace(_ other: Gradients) {
    for (mine, theirs) in zip(entries, other.entries) {
      mine.gradient.addInPlace(theirs.gradient)
    }
  }

  public func multiplyInPlace(_ factor: Double) {
    for entry in entries { entry.gradient.multiplyInPlace(factor) }
  }

  /// The Euclidean norm over all parameters.
  public var norm: Double { Tensor.norm(ofAll: entries.map(\.gradient)) }
}

/// A scalar loss and its gradient with respect to the trainable parameters of `model`.
///
/// ```swift
/// let (loss, gradients) = valueAndGradient(at: model) { $0.logits(images).crossEntropy(labels) }
/// ```
public func valueAndGradient<Model: Module>(
  at model: Model, of loss: (Model) -> Tensor
) -> (value: Tensor, gradients: Gradients) {
  valueAndGradient(of: model.namedParameters.filter { !$0.parameter.isFrozen }) { loss(model) }
}

/// A scalar loss and its gradient with respect to `trained`, parameters found once for many steps.
package func valueAndGradient(
  of trained: [(name: String, parameter: Parameter)], _ loss: () -> Tensor
) -> (value: Tensor, gradients: Gradients) {
  let value = withGradients(loss)
  let found = gradients(of: [value], withRespectTo: trained.map(\.parameter.tensor))
  let entries = zip(trained, found).map { item, gradient in
    let tensor = item.parameter.tensor
    return Gradients.Entry(
      name: item.name, parameter: item.parameter,
      gradient: gradient ?? .zeros(tensor.shape, dtype: tensor.dtype, device: tensor.device))
  }
  return (value.detached(), Gradients(entries: entries))
}
