import Torch

/// `softmax(Q K^T / sqrt(D) + mask) V` for each of `heads` equal parts of the channels (Vaswani et al.
/// 2017, arXiv 1706.03762), with dropout on the softmax; it has no weights.
///
/// Its two products are not counted as multiply-adds unless asked for: of networks for images Mingle
/// counts linear layers and convolutions, like most papers and tools.
public final class DotProductAttention: Module {
  public let heads: Int
  let drop: Dropout
  private let countsProducts: Bool

  /// - Parameter countsProducts: whether its products count as multiply-adds.
  public init(heads: Int, dropout: Double = 0, countsProducts: Bool = false) {
    self.heads = heads
    drop = Dropout(dropout)
    self.countsProducts = countsProducts
  }

  /// Queries [..., S, h D], keys and values [..., T, h D] -> [..., S, h D].
  ///
  /// - Parameter mask: broadcasts to [..., h, S, T]; added to the scores, or, if bool, true where a
  ///   key counts (every query needs one that does). Padding, for instance, is [B, 1, 1, T].
  public func callAsFunction(
    _ queries: Tensor, _ keys: Tensor, _ values: Tensor, mask: Tensor? = nil
  ) -> Tensor {
    let (q, k, v) = (split(queries), split(keys), split(values))  // [..., h, S or T, D]
    let y = attended(q, k, v, mask?.matching(q)).transposed(-3, -2).flattened(from: -2)
    return countsProducts ? traced(y, multiplyAdds: 2 * y.count * keys.shape[keys.rank - 2]) : y
  }

  /// Queries, keys and values from one projection: [..., S, 3 h D] -> [..., S, h D].
  public func callAsFunction(qkv: Tensor, mask: Tensor? = nil) -> Tensor {
    let parts = qkv.chunked(3, dimension: -1)
    return self(parts[0], parts[1], parts[2], mask: mask)
  }

  /// `softmax(scores) V`: tokens attend by scores [..., h, S, T] that do not depend on them; values
  /// [..., T, h D] -> [..., S, h D].
  public func callAsFunction(scores: Tensor, _ values: Tensor) -> Tensor {
    let y = drop(scores.softmax()).matmul(split(values)).transposed(-3, -2).flattened(from: -2)
    return countsProducts ? traced(y, multiplyAdds: y.count * scores.shape[scores.rank - 1]) : y
  }

  /// [..., S, h D] -> [..., h, S, D], a view.
  private func split(_ x: Tensor) -> Tensor {
    let shape = x.shape
    return x.reshaped(shape.dropLast() + [heads, shape[shape.count - 1] / heads])
      .transposed(-3, -2)
  }

  private func attended(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ mask: Tensor?) -> Tensor {
    // libtorch's operator would draw from a generator of its own, and takes several more copies for
    // the gradient of a mask.
    guard drop.isActive || mask?.requiresGradient == true else {
      return q.attention(k, v, mask: mask)
    }
    let scale = 1 / Double(q.shape[q.rank - 1]).squareRoot()
    var scores = (q * scale).matmul(k.transposed(-2, -1))  // [..., h, S, T]
    if let mask {
      scores =
        mask.dtype == .bool
        ? scores.filled(where: mask.equal(0), with: -.infinity) : scores.addInPlace(mask)
    }
    return drop(scores.softmax()).matmul(v)
  }
}

extension Tensor {
  /// A mask in the dtype of the scores; a bool one stays as it is.
  fileprivate func matching(_ queries: Tensor) -> Tensor {
    dtype == .bool ? self : to(queries.dtype)
  }
}
