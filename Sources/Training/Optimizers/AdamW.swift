import Layers
import Torch

/// Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), as PyTorch's; t
/// counts the steps from 1:
///
///     p = p - learningRate * weightDecay * p
///     m = beta1 * m + (1 - beta1) * g
///     v = beta2 * v + (1 - beta2) * g^2
///     p = p - learningRate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
///
/// Weight decay applies to parameters with ``Parameter/decays``. A step is one pass over memory, which
/// also scales the gradients, moves the averaged weights and rounds the weights for products in low
/// precision. State: "first_moment.<key>" (m), "second_moment.<key>" (v), "step" (t).
public final class AdamW: Optimizer {
  private let configuration: OptimizerConfiguration
  private let memory: OptimizerMemory

  init(_ configuration: OptimizerConfiguration, for model: any Module) {
    self.configuration = configuration
    memory = OptimizerMemory(of: model, kinds: ["first_moment", "second_moment"])
  }

  public func step(_ gradients: Gradients, learningRate: Double) {
    step(gradients, scale: 1, learningRate: learningRate, updating: nil)
  }

  public func step(
    _ gradients: Gradients, scale: Double, learningRate: Double,
    updating average: AveragedWeights?
  ) {
    let share = average?.beginUpdate() ?? 0
    var done: Set<ObjectIdentifier> = []
    withoutGradients {
      for group in memory.beginStep(gradients) {
        var step = AdamWStep(
          learningRate: learningRate, beta1: configuration.beta1, beta2: configuration.beta2,
          epsilon: configuration.epsilon,
          weightDecay: group.decays ? configuration.weightDecay : 0, number: memory.stepCount)
        (step.gradientScale, step.averageShare) = (scale, share)
        step(
          group.parameters, group.gradients, moments: (group.moments[0], group.moments[1]),
          averages: group.items.map { average?.average(of: $0) },
          copies: group.items.map(\.lowPrecisionCopy))
        for item in group.items {
          item.lowPrecisionCopyIsCurrent()
          done.insert(ObjectIdentifier(item))
        }
      }
    }
    average?.finishUpdate(share: share, besides: done)
  }

  public var state: [(name: String, tensor: Tensor)] { memory.state }

  public func restore(_ tensors: [String: Tensor]) throws { try memory.restore(tensors) }
}
