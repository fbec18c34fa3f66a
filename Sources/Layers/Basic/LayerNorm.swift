import Torch

/// `y = (x - mean) / sqrt(variance + epsilon) * weight + bias` over the last dimension
/// (Ba et al. 2016). Gain starts at 1, bias at 0.
public final class LayerNorm: Module {
  public let weight: Parameter  // [C]
  public let bias: Parameter  // [C]
  public let epsilon: Double

  public init(_ dimension: Int, epsilon: Double = 1e-6) {
    weight = Parameter(.ones([dimension]))
    bias = Parameter(.zeros([dimension]))
    self.epsilon = epsilon
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    traced(x.layerNorm(weight.tensor, bias.tensor, epsilon: epsilon))
  }
}
