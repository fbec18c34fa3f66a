import Torch

/// A tensor that training changes.
public final class Parameter {
  /// The values; a leaf of the graph of gradients.
  public private(set) var tensor: Tensor
  /// Whether weight decay applies: not to biases, norms' gains and other vectors.
  public let decays: Bool

  /// Whether ``operand`` keeps its copy in low precision from one step to the next.
  package var keepsLowPrecision = false {
    didSet { if !keepsLowPrecision { copy = nil } }
  }
  /// The values rounded, and the version of ``tensor`` that they are of; nil: of none that counts.
  private var copy: (tensor: Tensor, version: Int?)?

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
    let fits = values.shape == tensor.shape && values.device == tensor.device
    copy = fits ? copy.map { ($0.tensor, nil) } : nil
    tensor = values.detached()
    isFrozen = frozen
  }
}

// MARK: - Low precision

extension Parameter {
  /// The values as matrix products and convolutions take them.
  ///
  /// Usually ``tensor``, which autocast rounds for each forward pass anew. A trainer in low precision has
  /// the parameter keep the rounded values: an optimizer writes them along with the weights, and their
  /// gradient, in low precision too, becomes that of ``tensor`` in float32, as autocast's would.
  public var operand: Tensor {
    guard let rounded = roundedForAutocast() else { return tensor }
    return customFunction([tensor]) { _ in ([rounded], { [$0[0]?.to(.float32)] }) }[0]
  }

  /// The operand once for each item of a batch, without memory of its own: [...] -> [count, ...]. The
  /// gradients of the items are added in float32.
  public func operand(times count: Int) -> Tensor {
    let sizes = [count] + Array(repeating: -1, count: tensor.rank)
    guard let rounded = roundedForAutocast() else { return tensor.expanded(sizes) }
    return customFunction([tensor]) { _ in
      ([rounded.expanded(sizes)], { [$0[0]?.to(.float32).sum([0])] })
    }[0]
  }

  /// What an optimizer writes the rounded new values to; nil where none are kept.
  package var lowPrecisionCopy: Tensor? { copy?.tensor }

  /// Tells that an optimizer did.
  package func lowPrecisionCopyIsCurrent() { copy?.version = tensor.version }

  /// The rounded values, brought up to date; nil where autocast is off or they are not kept.
  private func roundedForAutocast() -> Tensor? {
    guard keepsLowPrecision, tensor.dtype == .float32,
      let dtype = autocastDType(on: tensor.device), dtype != .float32
    else { return nil }
    if let copy, copy.version == tensor.version, copy.tensor.dtype == dtype { return copy.tensor }
    let kept = copy.flatMap { $0.tensor.dtype == dtype ? $0.tensor : nil }
    let rounded = kept ?? .empty(tensor.shape, dtype: dtype, device: tensor.device)
    withoutGradients { _ = rounded.copyInPlace(tensor) }
    copy = (rounded, tensor.version)
    return rounded
  }
}

extension Module {
  /// Lets all weights keep their rounded values from one step to the next, for training inside
  /// `withAutocast`: see ``Parameter/operand``. What no product takes is not rounded.
  public func keepLowPrecisionWeights(_ keeps: Bool = true) {
    for (_, parameter) in namedParameters { parameter.keepsLowPrecision = keeps }
  }
}

/// A tensor that belongs to a module's state but is not trained: running statistics, counters.
public final class Buffer {
  public private(set) var tensor: Tensor

  public init(_ tensor: Tensor) { self.tensor = tensor }

  package func replace(_ values: Tensor) { tensor = values.detached() }
}
