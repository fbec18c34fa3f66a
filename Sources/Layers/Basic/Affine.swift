import Torch

/// `y = alpha * x + beta` for each channel, without statistics (ResMLP, arXiv 2105.03404).
/// `alpha` starts at 1, `beta` at 0.
public final class Affine: Module {
  public let alpha: Parameter  // [1, 1, C]
  public let beta: Parameter  // [1, 1, C]

  public init(_ dimension: Int) {
    alpha = Parameter(.ones([1, 1, dimension]), decays: false)
    beta = Parameter(.zeros([1, 1, dimension]), decays: false)
  }

  public func callAsFunction(_ x: Tensor) -> Tensor { traced(alpha.tensor * x + beta.tensor) }
}
