import CTorch

/// `softmax(Q K^T / sqrt(D) + bias) V` for each head, in one pass whose scores stay in the caches. What the
/// kernel does not read, libtorch's operator computes. Without gradients.
package struct FusedAttention: Sendable {
  /// What is added to the scores, turned around: [..., T, S] in memory.
  private let bias: Tensor?

  /// - Parameter bias: broadcasts to [B, H, S, T].
  package init(bias: Tensor?) {
    self.bias = bias?.to(.float32).transposed(-2, -1).contiguous()
  }

  /// - Returns: [B, H, S, E], in memory as [B, S, H, E].
  ///
  /// - Parameters:
  ///   - q: [B, H, S, D]
  ///   - k: [B, H, T, D]
  ///   - v: [B, H, T, E]
  package func callAsFunction(_ q: Tensor, _ k: Tensor, _ v: Tensor) -> Tensor {
    runKernel("attention", (q, k, v, bias)) {
      ct_attention(q.pointer, k.pointer, v.pointer, bias?.pointer, &$0)
    }
  }
}
