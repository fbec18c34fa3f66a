import Torch

/// How a parameter's first values are drawn.
///
/// Fans of a weight [O, I, ...] are `fanIn = I * ...` and `fanOut = O * ...`.
public enum Initializer: Sendable, Hashable {
  case zeros
  case ones
  case constant(Double)
  /// N(0, `standardDeviation`^2).
  case normal(standardDeviation: Double)
  /// N(0, `standardDeviation`^2) cut at two standard deviations.
  case truncatedNormal(standardDeviation: Double)
  /// N(0, 1 / fanIn): PyTorch's `kaiming_normal_` for a linear function.
  case fanInNormal
  /// Uniform on `+-bound`.
  case uniform(bound: Double)
  /// Uniform with variance `2 / (fanIn + fanOut)` (Glorot and Bengio 2010).
  case xavierUniform
  /// Truncated normal with variance `1 / fanIn` after truncation (LeCun et al. 1998, as in Flax).
  case lecunNormal
  /// N(0, 2 / `fanOut`) (He et al. 2015, arXiv 1502.01852, by the fan of the backward pass).
  case heNormalFanOut
  /// Uniform on `+-1 / sqrt(fanIn)`: what PyTorch gives a linear or convolution layer.
  case torchDefault
  /// Uniform on `+-1 / sqrt(fanIn)` for a bias, with the fan of its weight.
  case torchDefaultBias(fanIn: Int)

  /// A new parameter.
  ///
  /// - Parameter generator: nil leaves the memory unset, for weights that are loaded right after.
  public func callAsFunction(_ shape: [Int], _ generator: Generator?) -> Tensor {
    guard let generator else { return .empty(shape) }
    switch self {
    case .zeros: return .zeros(shape)
    case .ones: return .ones(shape)
    case .constant(let value): return .full(shape, value)
    case .normal(let deviation):
      return .normal(shape, standardDeviation: deviation, generator: generator)
    case .truncatedNormal(let deviation):
      return truncatedNormal(shape, generator) * deviation
    case .fanInNormal:
      return .normal(
        shape, standardDeviation: (1 / fans(shape).in).squareRoot(), generator: generator)
    case .uniform(let bound): return uniform(shape, bound, generator)
    case .xavierUniform:
      let (fanIn, fanOut) = fans(shape)
      return uniform(shape, (6 / (fanIn + fanOut)).squareRoot(), generator)
    case .lecunNormal:
      // 0.8796... is the standard deviation of a unit normal cut at +-2.
      let deviation = (1 / fans(shape).in).squareRoot() / 0.87962566103423978
      return truncatedNormal(shape, generator) * deviation
    case .heNormalFanOut:
      let deviation = (2 / fans(shape).out).squareRoot()
      return .normal(shape, standardDeviation: deviation, generator: generator)
    case .torchDefault:
      return uniform(shape, (1 / fans(shape).in).squareRoot(), generator)
    case .torchDefaultBias(let fanIn):
      return uniform(shape, (1 / Double(fanIn)).squareRoot(), generator)
    }
  }

  private func fans(_ shape: [Int]) -> (in: Double, out: Double) {
    let receptive = shape.dropFirst(2).reduce(1, *)
    let inputs = shape.count > 1 ? shape[1] : shape[0]
    return (Double(inputs * receptive), Double(shape[0] * receptive))
  }

  private func uniform(_ shape: [Int], _ bound: Double, _ generator: Generator) -> Tensor {
    .uniform(shape, low: -bound, high: bound, generator: generator)
  }

  /// A unit normal cut at +-2, by the inverse of its distribution function.
  private func truncatedNormal(_ shape: [Int], _ generator: Generator) -> Tensor {
    let edge = 0.95449973610364158  // erf(sqrt(2)): the mass within two standard deviations
    let uniform = Tensor.uniform(shape, low: -edge, high: edge, generator: generator)
    return (uniform.inverseErf() * 2.0.squareRoot()).clamped(to: -2...2)
  }
}
