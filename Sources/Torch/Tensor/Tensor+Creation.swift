extension Operator {
  static let full = Operator("full")
  static let arange = Operator("arange", "start_step")
  static let randperm = Operator("randperm", "generator")
  static let normalInPlace = Operator("normal_")
  static let uniformInPlace = Operator("uniform_")
  static let bernoulliInPlace = Operator("bernoulli_", "float")
}

extension Tensor {
  public static func zeros(
    _ shape: [Int], dtype: DType = .float32, device: Device = .cpu
  ) -> Tensor {
    full(shape, 0, dtype: dtype, device: device)
  }

  public static func ones(
    _ shape: [Int], dtype: DType = .float32, device: Device = .cpu
  ) -> Tensor {
    full(shape, 1, dtype: dtype, device: device)
  }

  /// A tensor whose every element is `value`.
  public static func full(
    _ shape: [Int], _ value: Double, dtype: DType = .float32, device: Device = .cpu
  ) -> Tensor {
    Operator.full(shape, value, dtype, nil, device.orMeta)
  }

  /// `0, 1, ..., count - 1`.
  public static func range(
    _ count: Int, dtype: DType = .int64, device: Device = .cpu
  ) -> Tensor {
    Operator.arange(0, count, 1, dtype, nil, device)
  }

  /// Independent samples of N(`mean`, `standardDeviation`^2).
  public static func normal(
    _ shape: [Int], mean: Double = 0, standardDeviation: Double = 1, generator: Generator,
    dtype: DType = .float32, device: Device = .cpu
  ) -> Tensor {
    Operator.normalInPlace(
      empty(shape, dtype: dtype, device: device), mean, standardDeviation, generator)
  }

  /// Independent samples of the uniform distribution on [`low`, `high`).
  public static func uniform(
    _ shape: [Int], low: Double = 0, high: Double = 1, generator: Generator,
    dtype: DType = .float32, device: Device = .cpu
  ) -> Tensor {
    Operator.uniformInPlace(empty(shape, dtype: dtype, device: device), low, high, generator)
  }

  /// Independent samples that are 1 with `probability`, else 0.
  public static func bernoulli(
    _ shape: [Int], probability: Double, generator: Generator, dtype: DType = .float32,
    device: Device = .cpu
  ) -> Tensor {
    Operator.bernoulliInPlace(
      empty(shape, dtype: dtype, device: device), probability, generator)
  }

  /// The numbers below `count` in random order.
  public static func permutation(_ count: Int, generator: Generator) -> Tensor {
    Operator.randperm(count, generator)
  }
}
