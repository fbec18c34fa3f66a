import Torch

/// `y = W x + b` over tokens, the same for every channel: [B, S, C] -> [B, S, C] for any S up to the
/// token count n.
///
/// Toeplitz weights (arXiv 2105.08050, appendix) are one number for each distance: `W[i, j] = w[j - i + n
/// - 1]` for a vector `w` [2n - 1]. Fewer tokens take the central 2S - 1 numbers, so that distances keep
/// their meaning; full weights [n, n] take the leading block [S, S], in which pairs of positions keep
/// theirs. Of both these are the same entries of W. Biases are the first S.
public final class SpatialProjection: Module {
  /// What W is made of.
  public enum Weights: String, Codable, Sendable, CaseIterable {
    case toeplitz, full
  }

  public let weight: Parameter  // [2n - 1] or [n, n]
  public let bias: Parameter  // [n]

  public init(
    tokenCount: Int, weights: Weights, weight: Initializer, bias: Initializer,
    generator: Generator?
  ) {
    let shape = weights == .toeplitz ? [2 * tokenCount - 1] : [tokenCount, tokenCount]
    self.weight = Parameter(weight(shape, generator), decays: true)
    self.bias = Parameter(bias([tokenCount], generator))
  }

  /// n, the largest number of tokens.
  public var tokenCount: Int { bias.tensor.shape[0] }

  /// W for the first `count` tokens: [S, S].
  public func matrix(of count: Int) -> Tensor {
    let (weight, n) = (weight.tensor, tokenCount)
    if weight.rank == 1 { return weight.narrowed(0, n - count..<n + count - 1).toeplitz(count) }
    return count == n ? weight : weight.narrowed(0, 0..<count).narrowed(1, 0..<count)
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    let count = x.shape[1]
    precondition(count <= tokenCount, "\(count) tokens for a projection of \(tokenCount)")
    let isWhole = count == tokenCount && weight.tensor.rank == 2
    let matrix = isWhole ? weight.operand(times: x.shape[0]) : matrix(of: count)
    return traced(
      x.rowLinear(matrix, bias.tensor.narrowed(0, 0..<count)),
      multiplyAdds: x.count * count)
  }
}

extension Tensor {
  /// Matrices with one number for each diagonal: [..., 2n - 1] -> [..., n, n],
  /// `y[..., i, j] = self[..., j - i + n - 1]`.
  package func toeplitz(_ n: Int) -> Tensor { windows(n).reversed(-2) }
}
