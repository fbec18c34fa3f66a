import Layers
import Torch

/// The parameters that an optimizer trains, and tensors of the same shapes beside each of them.
final class OptimizerMemory {
  /// Parameters that are treated alike in one step, with their gradients and memory in equal order.
  struct Group {
    /// Whether weight decay applies.
    let decays: Bool
    fileprivate(set) var items: [Parameter] = []
    fileprivate(set) var parameters: [Tensor] = []
    fileprivate(set) var gradients: [Tensor] = []
    /// For each kind of memory, one tensor for each parameter.
    fileprivate(set) var moments: [[Tensor]]

    /// Tells that the parameters have new values.
    func countChange() { for tensor in parameters { tensor.countChange() } }
  }

  /// How many steps have been taken.
  private(set) var stepCount = 0

  private let kinds: [String]
  private let trained: [(name: String, parameter: Parameter)]
  private let moments: [[Tensor]]
  private let indices: [ObjectIdentifier: Int]

  /// - Parameter kinds: the names of what is remembered for each parameter; it starts at 0.
  init(of model: any Module, kinds: [String]) {
    let trained = model.namedParameters.filter { !$0.parameter.isFrozen }
    self.kinds = kinds
    self.trained = trained
    moments = kinds.map { _ in trained.map { zeros(like: $0.parameter.tensor) } }
    indices = Dictionary(
      trained.enumerated().map { (ObjectIdentifier($1.parameter), $0) },
      uniquingKeysWith: { first, _ in first })
  }

  /// Counts a step and sorts what it changes into parameters with and without weight decay.
  func beginStep(_ gradients: Gradients) -> [Group] {
    stepCount += 1
    let empty = kinds.map { _ in [Tensor]() }
    var groups = [Group(decays: true, moments: empty), Group(decays: false, moments: empty)]
    for entry in gradients.entries where !entry.parameter.isFrozen {
      guard let index = indices[ObjectIdentifier(entry.parameter)] else {
        preconditionFailure(
          "the optimizer was made without '\(entry.name)': make it after unfreezing")
      }
      let tensor = entry.parameter.tensor
      precondition(
        tensor.isContiguous && entry.gradient.isContiguous && entry.gradient.shape == tensor.shape,
        "'\(entry.name)', \(tensor), and its gradient, \(entry.gradient), differ in layout")
      let group = entry.parameter.decays ? 0 : 1
      groups[group].items.append(entry.parameter)
      groups[group].parameters.append(tensor)
      groups[group].gradients.append(entry.gradient)
      for kind in kinds.indices { groups[group].moments[kind].append(moments[kind][index]) }
    }
    return groups.filter { !$0.parameters.isEmpty }
  }

  /// The memory by "<kind>.<parameter key>", and the number of steps as "step" (int64 scalar).
  var state: [(name: String, tensor: Tensor)] {
    var state = [(name: "step", tensor: Tensor([stepCount], shape: []))]
    for (kind, tensors) in zip(kinds, moments) {
      for (item, tensor) in zip(trained, tensors) { state.append(("\(kind).\(item.name)", tensor)) }
    }
    return state
  }

  func restore(_ tensors: [String: Tensor]) throws {
    let own = state
    try requireFit(tensors, to: own, of: "optimizer's state")
    stepCount = try savedCount(tensors, "step")
    withoutGradients {
      for (name, tensor) in own { tensors[name].map { _ = tensor.copyInPlace($0) } }
    }
  }
}

private func zeros(like tensor: Tensor) -> Tensor {
  .zeros(tensor.shape, dtype: tensor.dtype, device: tensor.device)
}
