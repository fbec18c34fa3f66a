import Torch

/// `y = x W^T + b`: [..., I] -> [..., O].
public final class Linear: Module {
  public let weight: Parameter  // [O, I]
  public let bias: Parameter?  // [O]

  /// - Parameters:
  ///   - weight: how `W` starts; LeCun normal unless a model says otherwise.
  ///   - bias: how `b` starts; nil for a layer without bias.
  public init(
    _ inputDimension: Int, _ outputDimension: Int, weight: Initializer = .lecunNormal,
    bias: Initializer? = .zeros, generator: Generator?
  ) {
    self.weight = Parameter(weight([outputDimension, inputDimension], generator))
    self.bias = bias.map { Parameter($0([outputDimension], generator)) }
  }

  public var inputDimension: Int { weight.tensor.shape[1] }
  public var outputDimension: Int { weight.tensor.shape[0] }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    traced(
      x.linear(weight.operand, bias?.tensor),
      multiplyAdds: x.count * outputDimension)
  }

  /// `y = W x + b` over the second dimension, whose vectors need not be gathered for it:
  /// [B, I, N] -> [B, O, N].
  public func overRows(_ x: Tensor) -> Tensor {
    traced(
      x.rowLinear(weight.operand(times: x.shape[0]), bias?.tensor),
      multiplyAdds: x.count * outputDimension)
  }
}
