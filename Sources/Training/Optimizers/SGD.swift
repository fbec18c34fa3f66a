import Layers
import Torch

/// Stochastic gradient descent with momentum (Polyak 1964, Nesterov 1983) in the form of PyTorch's:
///
///     g = gradient + weightDecay * p         (coupled: the decay passes through the momentum)
///     v = momentum * v + g
///     p = p - learningRate * v               (Nesterov: g + momentum * v in place of v)
///
/// Weight decay applies to parameters with ``Parameter/decays``. State: "momentum.<key>" unless
/// momentum is 0, "step".
public final class SGD: Optimizer {
  private let configuration: OptimizerConfiguration
  private let memory: OptimizerMemory

  init(_ configuration: OptimizerConfiguration, for model: any Module) {
    self.configuration = configuration
    memory = OptimizerMemory(of: model, kinds: configuration.momentum == 0 ? [] : ["momentum"])
  }

  public func step(_ gradients: Gradients, learningRate: Double) {
    let (weightDecay, momentum) = (configuration.weightDecay, configuration.momentum)
    withoutGradients {
      for group in memory.beginStep(gradients) {
        let (dampening, maximize, isFirstStep) = (0.0, false, false)
        Operator.fusedSGD.run(
          group.parameters, group.gradients, group.moments.first ?? [],
          group.decays ? weightDecay : 0, momentum, learningRate, dampening,
          configuration.nesterov, maximize, isFirstStep)
        group.countChange()
      }
    }
  }

  public var state: [(name: String, tensor: Tensor)] { memory.state }

  public func restore(_ tensors: [String: Tensor]) throws { try memory.restore(tensors) }
}
