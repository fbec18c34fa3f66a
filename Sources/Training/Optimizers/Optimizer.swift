import Layers
import Torch

/// A rule that changes a model's parameters by their gradients, with a memory of earlier ones.
///
/// An optimizer lists the trainable parameters of its model once, when it is made: move the model
/// to its device, and freeze what stays, before. Parameters frozen later are left as they are.
/// ``OptimizerConfiguration/make(for:)`` makes one from its settings.
public protocol Optimizer: AnyObject {
  /// Changes the parameters in place. Gradients are read, not changed.
  func step(_ gradients: Gradients, learningRate: Double)

  /// A step by `scale` times the gradients, and then an update of `average`; in one pass over memory
  /// where the optimizer can. The gradients are of no use afterwards: they may have been scaled in place.
  func step(
    _ gradients: Gradients, scale: Double, learningRate: Double,
    updating average: AveragedWeights?)

  /// What the next steps depend on, by name: "first_moment.blocks.0.norm1.weight", "step", ...
  ///
  /// These are the optimizer's own tensors: the next step writes to them.
  var state: [(name: String, tensor: Tensor)] { get }

  /// Continues where `tensors`, a saved ``state``, were taken; the next steps are equal to the bit.
  ///
  /// - Throws: `MingleError` unless names, shapes and dtypes are this optimizer's; nothing is
  ///   changed then.
  func restore(_ tensors: [String: Tensor]) throws
}

extension Optimizer {
  public func step(
    _ gradients: Gradients, scale: Double, learningRate: Double,
    updating average: AveragedWeights?
  ) {
    if scale != 1 { gradients.multiplyInPlace(scale) }
    step(gradients, learningRate: learningRate)
    average?.update()
  }
}
