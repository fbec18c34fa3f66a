extension Operator {
  static let sum = Operator("sum")
  static let sumDimensions = Operator("sum", "dim_IntList")
  static let mean = Operator("mean")
  static let meanDimensions = Operator("mean", "dim")
  static let maximum = Operator("max")
  static let minimum = Operator("min")
  static let all = Operator("all")
  static let argmax = Operator("argmax")
  static let topk = Operator("topk")
  static let norm = Operator("linalg_vector_norm")
}

extension Tensor {
  public func sum() -> Tensor { Operator.sum(self) }
  public func sum(_ dimensions: [Int], keepDimensions: Bool = false) -> Tensor {
    Operator.sumDimensions(self, dimensions, keepDimensions)
  }
  public func mean() -> Tensor { Operator.mean(self) }
  public func mean(_ dimensions: [Int], keepDimensions: Bool = false) -> Tensor {
    Operator.meanDimensions(self, dimensions, keepDimensions)
  }
  public func max() -> Tensor { Operator.maximum(self) }
  public func min() -> Tensor { Operator.minimum(self) }
  /// Whether every element of a bool tensor is true (bool scalar).
  public func all() -> Tensor { Operator.all(self) }
  /// The index of the largest element along `dimension` (int64).
  public func argmax(_ dimension: Int) -> Tensor { Operator.argmax(self, dimension) }
  /// The `k` largest along the last dimension, largest first, and their indices (int64).
  public func topK(_ k: Int) -> (values: Tensor, indices: Tensor) {
    let results = Operator.topk.all(self, k)
    return (results[0], results[1])
  }
  /// The Euclidean norm of all elements.
  public func norm() -> Tensor { Operator.norm(self, 2.0) }
}
