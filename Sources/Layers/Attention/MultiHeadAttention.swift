import Torch

/// Tokens attend to tokens of the same sequence: [B, S, C] -> [B, S, C],
/// `y = W_O attention(Q, K, V)` with Q, K and V from one linear layer in this order
/// (Vaswani et al. 2017, arXiv 1706.03762); dropout after the projection and on the softmax.
public final class MultiHeadAttention: Module {
  let qkv: Linear, proj: Linear
  let attention: DotProductAttention, drop: Dropout

  /// - Parameters:
  ///   - heads: must divide `dimension`.
  ///   - qkvBias: whether the layer for Q, K and V has a bias.
  public init(
    _ dimension: Int, heads: Int, qkvBias: Bool = true, dropout: Double = 0,
    attentionDropout: Double = 0, weight: Initializer = .xavierUniform, generator: Generator?
  ) {
    qkv = Linear(
      dimension, 3 * dimension, weight: weight, bias: qkvBias ? .zeros : nil, generator: generator)
    proj = Linear(dimension, dimension, weight: weight, generator: generator)
    attention = DotProductAttention(heads: heads, dropout: attentionDropout)
    drop = Dropout(dropout)
  }

  /// - Parameter mask: of ``DotProductAttention``.
  public func callAsFunction(_ x: Tensor, mask: Tensor? = nil) -> Tensor {
    drop(proj(attention(qkv: qkv(x), mask: mask)))
  }
}
