extension Operator {
  static let scaledDotProductAttention = Operator("scaled_dot_product_attention")
  static let maskedFill = Operator("masked_fill", "Scalar")
}

extension Tensor {
  /// `softmax(Q K^T / sqrt(D) + mask) V` for queries [..., S, D] (self), keys and values [..., T, D],
  /// by libtorch's fused kernel where it has one.
  ///
  /// - Parameter mask: broadcasts to [..., S, T]; added, or, if bool, true where a key counts.
  public func attention(_ keys: Tensor, _ values: Tensor, mask: Tensor? = nil) -> Tensor {
    guard isOutline else { return Operator.scaledDotProductAttention(self, keys, values, mask) }
    return outline(shape.dropLast() + values.shape.suffix(1))
  }

  /// `value` where `mask` (bool, broadcast) is true, else the elements.
  public func filled(where mask: Tensor, with value: Double) -> Tensor {
    Operator.maskedFill(self, mask, value)
  }
}
