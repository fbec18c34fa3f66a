import Torch

// Training with less memory: Chen, Xu, Zhang, Guestrin, 2016, "Training deep nets with sublinear memory
// cost", arXiv 1604.06174.

/// Runs `forward`, in which models keep only the inputs of their blocks: the backward pass computes each
/// block again, when it needs what lies within. That costs a second forward pass, and saves the memory of
/// all blocks but one.
///
/// The second pass computes the same: with the same random numbers and the same precision, and without
/// moving running statistics again. So the gradients are the same, too; to the bit, unless blocks share
/// parameters or have experts, whose gradients are then added in another order.
///
/// - Parameters:
///   - isOn: false runs `forward` as it is.
///   - generator: what dropout and stochastic depth draw from: that of ``Mode/training(_:)``.
public func withActivationCheckpointing<Result>(
  _ isOn: Bool = true, generator: Generator, _ forward: () throws -> Result
) rethrows -> Result {
  guard isOn else { return try forward() }
  return try Checkpointing.$current.withValue(Checkpointing(generator: generator)) {
    try forward()
  }
}

/// How blocks are run inside ``withActivationCheckpointing(_:generator:_:)``.
package struct Checkpointing: Sendable {
  @TaskLocal fileprivate static var current: Checkpointing?
  /// Whether a block is being computed again: it must leave no traces but its result.
  @TaskLocal package static var isRepeating = false

  fileprivate let generator: Generator
}

/// `block(x)`; its activations are not kept inside ``withActivationCheckpointing(_:generator:_:)``.
package func checkpointed(_ x: Tensor, _ block: @escaping (Tensor) -> Tensor) -> Tensor {
  guard let checkpointing = Checkpointing.current else { return block(x) }
  // What a block is made of is not kept either: there is only one level.
  return Checkpointing.$current.withValue(nil) { checkpointing.run(block, on: x) }
}

extension Checkpointing {
  /// The graph of the first pass tells which parameters the block has; then it is let go of.
  fileprivate func run(_ block: @escaping (Tensor) -> Tensor, on x: Tensor) -> Tensor {
    let state = generator.state
    let precision = autocastDType(on: x.device)
    let y = block(x)
    guard y.requiresGradient else { return y }
    let leaves = y.graphLeaves(since: x)
    let isTracked = x.requiresGradient
    let input = x.detached()
    // A block holds modules, which only one thread may use at a time. So it is: the backward pass runs
    // on the thread that asks for gradients, or on one of libtorch's for which that one waits.
    nonisolated(unsafe) let block = block
    let backward: @Sendable ([Tensor?]) -> [Tensor?] = { [generator] cotangents in
      guard let cotangent = cotangents[0] else { return [nil] + leaves.map { _ in nil } }
      let x = input.detached()
      x.setRequiresGradient(isTracked)
      let output = generator.repeating(from: state) {
        Checkpointing.$isRepeating.withValue(true) {
          withAutocast(precision, on: x.device) { withGradients { block(x) } }
        }
      }
      let found = output.rawGradients(cotangent, withRespectTo: (isTracked ? [x] : []) + leaves)
      return isTracked ? found : [nil] + found
    }
    return customFunction([x] + leaves) { _ in ([y], backward) }[0]
  }
}
