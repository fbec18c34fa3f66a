import CTorch

/// A function with a hand-written backward pass.
///
/// ```swift
/// let square = customFunction([x]) { inputs in
///   let x = inputs[0]
///   return ([x * x], { cotangents in [cotangents[0].map { 2 * x * $0 }] })
/// }[0]
/// ```
///
/// - Parameters:
///   - inputs: what the function differentiates with respect to.
///   - forward: computes the outputs without recording, and returns with them the backward pass:
///     gradients of the outputs in (nil: zero), gradients of the inputs out (nil: none). What the
///     backward pass captures lives as long as the graph.
public func customFunction(
  _ inputs: [Tensor],
  _ forward:
    @escaping @Sendable ([Tensor]) -> (
      outputs: [Tensor], backward: @Sendable ([Tensor?]) -> [Tensor?]
    )
) -> [Tensor] {
  customFunction(inputs, tag: nil, forward)
}

/// The same with a `tag` that tells a plan what function it is.
package func customFunction(
  _ inputs: [Tensor], tag: (any Sendable)?,
  _ forward:
    @escaping @Sendable ([Tensor]) -> (
      outputs: [Tensor], backward: @Sendable ([Tensor?]) -> [Tensor?]
    )
) -> [Tensor] {
  if let recording = OperatorRecording.current {
    let run: @Sendable ([Tensor]) -> [Tensor] = { tensors in
      OperatorRecording.$current.withValue(nil) { withoutGradients { forward(tensors).outputs } }
    }
    let outputs = run(inputs)
    recording.add(.custom(run, tag: tag), inputs, outputs)
    return outputs
  }
  let (outputs, backward) = withoutGradients { forward(inputs) }
  var inputPointers = inputs.map { Optional($0.pointer) }
  var outputPointers = outputs.map { Optional($0.pointer) }
  var results = [CTTensor?](repeating: nil, count: outputs.count)
  let context = Unmanaged.passRetained(BackwardPass(backward)).toOpaque()
  let status = withExtendedLifetime((inputs, outputs)) {
    ct_custom_function(
      &inputPointers, Int32(inputs.count), &outputPointers, Int32(outputs.count),
      runBackwardPass, releaseBackwardPass, context, &results)
  }
  Engine.check(status, "custom function of \(inputs)")
  return results.map { Tensor(owned: $0, by: "custom function") }
}

private final class BackwardPass: Sendable {
  let body: @Sendable ([Tensor?]) -> [Tensor?]

  init(_ body: @escaping @Sendable ([Tensor?]) -> [Tensor?]) { self.body = body }
}

private func releaseBackwardPass(_ context: UnsafeMutableRawPointer?) {
  if let context { Unmanaged<BackwardPass>.fromOpaque(context).release() }
}

private let runBackwardPass: CTBackward = { context, gradients, gradientCount, results, count in
  guard let context, let gradients, let results else { return -1 }
  let pass = Unmanaged<BackwardPass>.fromOpaque(context).takeUnretainedValue()
  let incoming = (0..<Int(gradientCount)).map { index in
    gradients[index].map { Tensor(owned: ct_tensor_retain($0), by: "gradient") }
  }
  let outgoing = withoutGradients { pass.body(incoming) }
  guard outgoing.count == Int(count) else { return -1 }
  for (index, gradient) in outgoing.enumerated() {
    results[index] = gradient.flatMap { ct_tensor_retain($0.pointer) }
  }
  return 0
}
