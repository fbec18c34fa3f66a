import CTorch

extension Tensor {
  /// Whether operators on this tensor are recorded for gradients.
  public var requiresGradient: Bool { ct_requires_grad(pointer) != 0 }

  /// Records operators on this tensor (a floating-point leaf of the graph), or stops recording.
  public func setRequiresGradient(_ value: Bool) {
    Engine.check(ct_set_requires_grad(pointer, value ? 1 : 0), "requires gradient of \(self)")
  }
}

/// Runs `body` without recording operators for gradients.
public func withoutGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
  try withGradientMode(0, body)
}

/// Runs `body` recording operators for gradients, also inside ``withoutGradients(_:)``.
public func withGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
  try withGradientMode(1, body)
}

private func withGradientMode<Result>(
  _ mode: Int32, _ body: () throws -> Result
) rethrows -> Result {
  let before = ct_grad_mode(mode)
  defer { _ = ct_grad_mode(before) }
  return try body()
}

/// The gradients of `outputs` with respect to `inputs`; nil where an input does not matter.
///
/// - Parameters:
///   - cotangents: the gradient of the loss with respect to each output; may be left out for
///     scalar outputs.
///   - keepGraph: leaves the graph for another call.
///   - differentiable: records the gradients' own graph, for second derivatives.
public func gradients(
  of outputs: [Tensor], cotangents: [Tensor]? = nil, withRespectTo inputs: [Tensor],
  keepGraph: Bool = false, differentiable: Bool = false
) -> [Tensor?] {
  precondition(
    cotangents == nil || cotangents?.count == outputs.count,
    "\(outputs.count) outputs need as many cotangents, got \(cotangents?.count ?? 0)")
  let tracked = inputs.indices.filter { inputs[$0].requiresGradient }
  guard !tracked.isEmpty else { return inputs.map { _ in nil } }
  var outputPointers = outputs.map { Optional($0.pointer) }
  var cotangentPointers = outputs.indices.map { cotangents?[$0].pointer }
  var inputPointers = tracked.map { Optional(inputs[$0].pointer) }
  var found = [CTTensor?](repeating: nil, count: tracked.count)
  let status = withExtendedLifetime((outputs, cotangents, inputs)) {
    ct_gradients(
      &outputPointers, &cotangentPointers, Int32(outputs.count), &inputPointers,
      Int32(tracked.count), keepGraph || differentiable ? 1 : 0, differentiable ? 1 : 0, &found)
  }
  Engine.check(status, "gradients of \(outputs)")
  var results = [Tensor?](repeating: nil, count: inputs.count)
  for (index, pointer) in zip(tracked, found) {
    results[index] = pointer.map(Tensor.init(owning:))
  }
  return results
}

extension Tensor {
  /// The leaves of the graph (parameters) that this tensor was computed from since `input`.
  package func graphLeaves(since input: Tensor) -> [Tensor] {
    var leaves: UnsafeMutablePointer<CTTensor?>?
    var count: Int32 = 0
    let status = withExtendedLifetime((self, input)) {
      ct_graph_leaves(pointer, input.pointer, &leaves, &count)
    }
    Engine.check(status, "leaves of \(self)")
    return (0..<Int(count)).compactMap { index in leaves?[index].map(Tensor.init(owning:)) }
  }

  /// As ``gradients(of:cotangents:withRespectTo:keepGraph:differentiable:)`` of this tensor alone, but as
  /// autograd has them: several may share memory.
  package func rawGradients(_ cotangent: Tensor, withRespectTo inputs: [Tensor]) -> [Tensor?] {
    var found = [CTTensor?](repeating: nil, count: inputs.count)
    let status = withExtendedLifetime((self, cotangent, inputs)) {
      ct_raw_gradients(
        pointer, cotangent.pointer, inputs.map(\.pointer), Int32(inputs.count), &found)
    }
    Engine.check(status, "gradients of \(self)")
    return found.map { $0.map(Tensor.init(owning:)) }
  }
}
