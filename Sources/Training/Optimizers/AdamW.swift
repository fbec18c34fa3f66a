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
/// Weight decay applies to parameters with ``Parameter/decays``. One pass over memory for each
/// step. State: "first_moment.<key>" (m), "second_moment.<key>" (v), "step" (t).
public final class AdamW: Optimizer {
  private let configuration: OptimizerConfiguration
  private let memory: OptimizerMemory

  init(_ configuration: OptimizerConfiguration, for model: any Module) {
    self.configuration = configuration
    memory = OptimizerMemory(of: model, kinds: ["first_moment", "second_moment"])
  }

  public func step(_ gradients: Gradients, learningRate: Double) {
    withoutGradients {
      for group in memory.beginStep(gradients) {
        let step = Tensor.full([], Double(memory.stepCount), device: group.parameters[0].device)
        let (amsgrad, maximize) = (false, false)
        Operator.fusedAdamW.run(
          group.parameters, group.gradients, group.moments[0], group.moments[1], [Tensor](),
          Array(repeating: step, count: group.parameters.count), learningRate,
          configuration.beta1, configuration.beta2, group.decays ? configuration.weightDecay : 0,
          configuration.epsilon, amsgrad, maximize)
      }
    }
  }

  public var state: [(name: String, tensor: Tensor)] { memory.state }

  public func restore(_ tensors: [String: Tensor]) throws { try memory.restore(tensors) }
}
