import Torch

/// A tensor that training changes.
public final class Parameter {
  /// The values; a leaf of the graph of gradients.
  public private(set) var tensor: Tensor
  /// Whether weight decay applies: not to biases, norms' gains and other vectors.
  public let decays: Bool

  /// - Parameter decays: matrices and larger decay by default, vectors do not.
  public init(_ tensor: Tensor, decays: Bool? = nil) {
    self.tensor = tensor
    self.decays = decays ?? (tensor.rank > 1)
    tensor.setRequiresGradient(true)
  }

  /// Frozen parameters have no gradient, and optimizers leave them as they are.
  public var isFrozen: Bool {
    get { !tensor.requiresGradient }
    set { tensor.setRequiresGradient(!newValue) }
  }

  /// Puts other values, of the same or another shape, in the place of these.
  package func replace(_ values: Tensor) {
    let frozen = isFrozen
    tensor = values.detached()
    isFrozen = frozen
  }
}

/// A tensor that belongs to a module's state but is not trained: running statistics, counters.
public final class Buffer {
  public private(set) var tensor: Tensor

  public init(_ tensor: Tensor) { self.tensor = tensor }

  package func replace(_ values: Tensor) { tensor = values.detached() }
}
