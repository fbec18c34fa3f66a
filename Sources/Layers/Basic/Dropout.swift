import Torch

/// Zeroes each element with probability `rate` while training and scales the others by
/// `1 / (1 - rate)` (Srivastava et al. 2014).
public final class Dropout: ModeDependent {
  public let rate: Double
  public var mode = Mode.evaluation

  public init(_ rate: Double) { self.rate = rate }

  /// Whether it changes anything now.
  package var isActive: Bool {
    if case .training = mode { rate > 0 } else { false }
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    guard rate > 0, case .training(let generator) = mode else { return x }
    return x * keepMask(x.shape, rate: rate, like: x, generator)
  }
}

/// Zeroes the whole residual branch of a sample with probability `rate` while training and scales
/// the others by `1 / (1 - rate)` (stochastic depth, Huang et al. 2016).
public final class DropPath: ModeDependent {
  public let rate: Double
  public var mode = Mode.evaluation

  public init(_ rate: Double) { self.rate = rate }

  /// [B, ...] -> [B, ...]
  public func callAsFunction(_ x: Tensor) -> Tensor {
    guard let factors = factors(for: x) else { return x }
    return x * factors.reshaped([-1] + Array(repeating: 1, count: x.rank - 1))
  }

  /// What each sample of `x` is multiplied by: [B]; nil where that is 1. Draws from the generator.
  func factors(for x: Tensor) -> Tensor? {
    guard rate > 0, case .training(let generator) = mode else { return nil }
    return keepMask([x.shape[0]], rate: rate, like: x, generator)
  }
}

/// `1 / (1 - rate)` with probability `1 - rate`, else 0.
private func keepMask(
  _ shape: [Int], rate: Double, like x: Tensor, _ generator: Generator
) -> Tensor {
  guard rate < 1 else { return .zeros(shape, dtype: x.dtype, device: x.device) }
  let mask = Tensor.bernoulli(shape, probability: 1 - rate, generator: generator)
  return mask.multiplyInPlace(1 / (1 - rate)).to(x.device).to(x.dtype)
}

/// How the stochastic-depth rate depends on a block's depth.
public enum DropPathRule: String, Codable, Sendable, CaseIterable {
  /// The same rate in every block.
  case constant
  /// From 0 in the first block to the rate in the last.
  case linear

  /// The rate of each of `depth` blocks.
  public func rates(_ rate: Double, depth: Int) -> [Double] {
    (0..<depth).map { index in
      switch self {
      case .constant: rate
      case .linear: depth == 1 ? 0 : rate * Double(index) / Double(depth - 1)
      }
    }
  }
}
