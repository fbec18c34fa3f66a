extension Operator {
  static let argsort = Operator("argsort", "stable")
  static let bincount = Operator("bincount")
  static let scatter = Operator("scatter", "src")
  static let emptyLike = Operator("empty_like")
  static let gather = Operator("gather")
  static let splitSizes = Operator("split_with_sizes")
  static let floorDivide = Operator("floor_divide", "Scalar")
}

/// Orders, counts and selections by index.
extension Tensor {
  /// The order (int64) that sorts a vector; equal elements keep theirs.
  public func argsort() -> Tensor { Operator.argsort(self, true, 0, false) }
  /// For an order of `0, 1, ..., count - 1` the one that undoes it: where each number stands.
  public func inverseOrder() -> Tensor {
    Operator.scatter(
      Operator.emptyLike(self), 0, self, Tensor.range(count, dtype: dtype, device: device))
  }
  /// How often each number below `limit` occurs in a vector of them (int64).
  public func occurrences(below limit: Int) -> Tensor { Operator.bincount(self, nil, limit) }
  /// The elements that `indices` (int64) name along `dimension`, in the shape of `indices`.
  public func gathered(_ dimension: Int, _ indices: Tensor) -> Tensor {
    Operator.gather(self, dimension, indices)
  }
  /// Consecutive parts of `sizes` along `dimension`.
  public func split(_ sizes: [Int], dimension: Int = 0) -> [Tensor] {
    Operator.splitSizes.all(self, sizes, dimension)
  }
  /// Integer elements divided by `divisor`, rounded down.
  public func dividedDown(by divisor: Int) -> Tensor { Operator.floorDivide(self, divisor) }
}
