import Torch

/// Two linear layers with an activation between them: [..., I] -> [..., O],
/// `y = fc2(activation(fc1(x)))`, with dropout after each.
public final class MLP: Module {
  let fc1: Linear, fc2: Linear, drop: Dropout
  let activation: Activation

  /// - Parameter output: O; I unless given.
  public init(
    _ dimension: Int, hidden: Int, output: Int? = nil, activation: Activation = .gelu,
    dropout: Double = 0, weight: Initializer = .lecunNormal, bias: Initializer = .zeros,
    generator: Generator?
  ) {
    fc1 = Linear(dimension, hidden, weight: weight, bias: bias, generator: generator)
    fc2 = Linear(hidden, output ?? dimension, weight: weight, bias: bias, generator: generator)
    drop = Dropout(dropout)
    self.activation = activation
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    drop(fc2(drop(activation(fc1(x)))))
  }

  /// The same over the second dimension: [B, I, N] -> [B, O, N].
  public func overRows(_ x: Tensor) -> Tensor {
    drop(fc2.overRows(drop(activation(fc1.overRows(x)))))
  }
}
