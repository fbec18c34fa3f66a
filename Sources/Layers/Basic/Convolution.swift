import Torch

/// A two-dimensional convolution: [B, I, H, W] -> [B, O, H', W'].
public final class Convolution: Module {
  public let weight: Parameter  // [O, I / groups, kH, kW]
  public let bias: Parameter?  // [O]
  private let stride: (Int, Int)
  private let padding: (Int, Int)
  private let groups: Int

  /// - Parameters:
  ///   - kernel: height and width.
  ///   - padding: rows of zeros above and below, columns of zeros left and right.
  ///   - groups: how many parts the channels fall into, each with a convolution of its own.
  public init(
    _ inputChannels: Int, _ outputChannels: Int, kernel: (Int, Int), stride: (Int, Int) = (1, 1),
    padding: (Int, Int) = (0, 0), groups: Int = 1, weight: Initializer = .lecunNormal,
    bias: Initializer? = .zeros, generator: Generator?
  ) {
    self.weight = Parameter(
      weight([outputChannels, inputChannels / groups, kernel.0, kernel.1], generator))
    self.bias = bias.map { Parameter($0([outputChannels], generator)) }
    self.stride = stride
    self.padding = padding
    self.groups = groups
  }

  /// A convolution with a square kernel, the same stride and padding in both directions.
  public convenience init(
    _ inputChannels: Int, _ outputChannels: Int, kernel: Int, stride: Int = 1, padding: Int = 0,
    groups: Int = 1, weight: Initializer = .lecunNormal, bias: Initializer? = .zeros,
    generator: Generator?
  ) {
    self.init(
      inputChannels, outputChannels, kernel: (kernel, kernel), stride: (stride, stride),
      padding: (padding, padding), groups: groups, weight: weight, bias: bias,
      generator: generator)
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    let y = x.convolution(
      weight.operand, bias?.tensor, stride: stride, padding: padding, groups: groups)
    return traced(y, multiplyAdds: y.count * weight.tensor.count / weight.tensor.shape[0])
  }
}
