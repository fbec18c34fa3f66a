import Torch

/// A two-dimensional convolution: [B, I, H, W] -> [B, O, H', W'].
public final class Convolution: Module {
  public let weight: Parameter  // [O, I, kH, kW]
  public let bias: Parameter?  // [O]
  private let stride: (Int, Int)

  /// - Parameter kernel: height and width.
  public init(
    _ inputChannels: Int, _ outputChannels: Int, kernel: (Int, Int), stride: (Int, Int) = (1, 1),
    weight: Initializer = .lecunNormal, bias: Initializer? = .zeros, generator: Generator?
  ) {
    self.weight = Parameter(
      weight([outputChannels, inputChannels, kernel.0, kernel.1], generator))
    self.bias = bias.map { Parameter($0([outputChannels], generator)) }
    self.stride = stride
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    let y = x.convolution(weight.tensor, bias?.tensor, stride: stride)
    return traced(y, multiplyAdds: y.count * weight.tensor.count / weight.tensor.shape[0])
  }
}
