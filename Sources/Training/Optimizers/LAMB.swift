import Foundation
import Layers
import Torch

/// Layer-wise adaptive moments (You et al. 2019, arXiv 1904.00962), as in timm; t counts the steps
/// from 1, and norms run over one parameter:
///
///     m = beta1 * m + (1 - beta1) * g
///     v = beta2 * v + (1 - beta2) * g^2
///     u = (m / (1 - beta1^t)) / (sqrt(v) / sqrt(1 - beta2^t) + epsilon) + weightDecay * p
///     p = p - learningRate * |p| / |u| * u   (the trust ratio |p| / |u| is 1 where either is 0)
///
/// Parameters without ``Parameter/decays`` have neither weight decay nor a trust ratio: for them it
/// is Adam, and with a weight decay of 0 for all (timm's `always_adapt=False`). The trust ratio is
/// not bounded, and gradients are not clipped here (timm's default clips their global norm to 1).
/// State: "first_moment.<key>" (m), "second_moment.<key>" (v), "step" (t).
public final class LAMB: Optimizer {
  private let configuration: OptimizerConfiguration
  private let memory: OptimizerMemory

  init(_ configuration: OptimizerConfiguration, for model: any Module) {
    self.configuration = configuration
    memory = OptimizerMemory(of: model, kinds: ["first_moment", "second_moment"])
  }

  public func step(_ gradients: Gradients, learningRate: Double) {
    withoutGradients {
      for group in memory.beginStep(gradients) {
        let updates = adamUpdates(group)
        if group.decays && configuration.weightDecay != 0 {
          Operator.listAddInPlace.run(updates, group.parameters, configuration.weightDecay)
          Operator.listAddProductInPlace.run(
            group.parameters, updates, trustRatios(group.parameters, updates), -learningRate)
        } else {
          Operator.listAddInPlace.run(group.parameters, updates, -learningRate)
        }
        group.countChange()
      }
    }
  }

  /// Moves the moments on and returns Adam's direction for each parameter.
  private func adamUpdates(_ group: OptimizerMemory.Group) -> [Tensor] {
    let (beta1, beta2) = (configuration.beta1, configuration.beta2)
    let step = Double(memory.stepCount)
    let (first, second) = (group.moments[0], group.moments[1])
    Operator.listInterpolateInPlace.run(first, group.gradients, 1 - beta1)
    Operator.listMultiplyScalarInPlace.run(second, beta2)
    Operator.listAddProductInPlace.run(second, group.gradients, group.gradients, 1 - beta2)
    let scales = Operator.listSquareRoot.all(second)
    Operator.listDivideScalarInPlace.run(scales, (1 - pow(beta2, step)).squareRoot())
    Operator.listAddScalarInPlace.run(scales, configuration.epsilon)
    let updates = Operator.listDivide.all(first, scales)
    Operator.listDivideScalarInPlace.run(updates, 1 - pow(beta1, step))
    return updates
  }

  /// `|p| / |u|` for each parameter, 1 where either norm is 0; scalars that stay on the device.
  private func trustRatios(_ parameters: [Tensor], _ updates: [Tensor]) -> [Tensor] {
    let weightNorms = Tensor.stacked(Operator.listNorm.all(parameters, 2))
    let updateNorms = Tensor.stacked(Operator.listNorm.all(updates, 2))
    let ratios = weightNorms / updateNorms
    let valid = (weightNorms * updateNorms).greater(0)
    return Operator.unbind.all(Operator.whereOrScalar(valid, ratios, 1), 0)
  }

  public var state: [(name: String, tensor: Tensor)] { memory.state }

  public func restore(_ tensors: [String: Tensor]) throws { try memory.restore(tensors) }
}
