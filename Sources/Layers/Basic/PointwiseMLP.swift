import Torch

/// An ``MLP`` over the channels at each position of a map: [B, I, H, W] -> [B, O, H, W],
/// `y = fc2(activation(fc1(x)))` with convolutions of size 1, with dropout after each.
public final class PointwiseMLP: Module {
  let fc1: Convolution, fc2: Convolution, drop: Dropout
  let activation: Activation

  /// - Parameter output: the number of channels after it; nil for as many as before.
  public init(
    _ channels: Int, hidden: Int, output: Int? = nil, activation: Activation = .gelu,
    dropout: Double = 0,
    weight: Initializer, bias: (_ fanIn: Int) -> Initializer = { _ in .zeros },
    generator: Generator?
  ) {
    fc1 = Convolution(
      channels, hidden, kernel: 1, weight: weight, bias: bias(channels), generator: generator)
    fc2 = Convolution(
      hidden, output ?? channels, kernel: 1, weight: weight, bias: bias(hidden),
      generator: generator)
    drop = Dropout(dropout)
    self.activation = activation
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    drop(fc2(drop(activation(fc1(x)))))
  }
}
