extension Operator {
  static let matmul = Operator("matmul")
  static let linear = Operator("linear")
  static let embedding = Operator("embedding")
  static let batchedProduct = Operator("bmm")
  static let batchedProductSum = Operator("baddbmm")
  static let convolution = Operator("conv2d")
  static let averagePool = Operator("avg_pool2d")
  static let maxPool = Operator("max_pool2d")
  static let layerNorm = Operator("layer_norm")
  static let groupNorm = Operator("group_norm")
  static let batchNorm = Operator("batch_norm")
  static let gelu = Operator("gelu")
  static let relu = Operator("relu")
  static let silu = Operator("silu")
  static let sigmoid = Operator("sigmoid")
  static let tanh = Operator("tanh")
  static let softmax = Operator("softmax", "int")
  static let logSoftmax = Operator("log_softmax", "int")
  static let crossEntropy = Operator("cross_entropy_loss")
  static let binaryCrossEntropy = Operator("binary_cross_entropy_with_logits")
  static let oneHot = Operator("one_hot")
  static let bilinear = Operator("_upsample_bilinear2d_aa")
  static let bicubic = Operator("_upsample_bicubic2d_aa")
  static let plainBicubic = Operator("upsample_bicubic2d")
}

/// The operators of neural networks.
extension Tensor {
  /// The matrix product over the last two dimensions, batched over the others.
  public func matmul(_ other: Tensor) -> Tensor { Operator.matmul(self, other) }

  /// `self W^T + b`: [..., I] -> [..., O] for a weight [O, I] and a bias [O].
  public func linear(_ weight: Tensor, _ bias: Tensor? = nil) -> Tensor {
    Operator.linear(self, weight, bias)
  }

  /// The rows of this table [V, C] that `indices` (int64) name: [...] -> [..., C].
  ///
  /// - Parameter padding: a row that gets no gradient from here; nil for none.
  public func embedding(_ indices: Tensor, padding: Int? = nil) -> Tensor {
    guard isOutline else { return Operator.embedding(self, indices, padding ?? -1) }
    return outline(indices.shape + [shape[1]])
  }

  /// `W self + b`: [B, I, N] -> [B, O, N] for a weight [O, I], or one for each item [B, O, I], and a
  /// bias [O].
  public func rowLinear(_ weight: Tensor, _ bias: Tensor? = nil) -> Tensor {
    let weights = weight.rank == 3 ? weight : weight.expanded([shape[0], -1, -1])
    guard let bias else { return Operator.batchedProduct(weights, self) }
    return Operator.batchedProductSum(bias.unsqueezed(1), weights, self)
  }

  /// [B, I, H, W] -> [B, O, H', W'] for a weight [O, I / groups, kH, kW].
  ///
  /// - Parameter padding: rows of zeros above and below, columns of zeros left and right.
  public func convolution(
    _ weight: Tensor, _ bias: Tensor? = nil, stride: (Int, Int) = (1, 1),
    padding: (Int, Int) = (0, 0), groups: Int = 1
  ) -> Tensor {
    Operator.convolution(
      self, weight, bias, [stride.0, stride.1], [padding.0, padding.1], [1, 1], groups)
  }

  /// The mean of each `size` x `size` square, side by side: [B, C, H, W] -> [B, C, H', W'] with
  /// `H' = ceil(H / size)`; squares at the edge count what they hold.
  public func averagePooled(_ size: Int) -> Tensor {
    Operator.averagePool(self, [size, size], [size, size], [0, 0], true, false)
  }

  /// The largest of each window of `kernel` x `kernel` positions: [B, C, H, W] -> [B, C, H', W'].
  ///
  /// - Parameter padding: rows and columns around the map that never are the largest.
  public func maxPooled(_ kernel: Int, stride: Int, padding: Int = 0) -> Tensor {
    Operator.maxPool(self, [kernel, kernel], [stride, stride], [padding, padding])
  }

  /// Zero mean and unit variance over the last dimension, then `* weight + bias`.
  public func layerNorm(_ weight: Tensor?, _ bias: Tensor?, epsilon: Double) -> Tensor {
    let shape = shape
    if isOutline { return outline(shape) }
    return Operator.layerNorm(self, [shape[rank - 1]], weight, bias, epsilon)
  }

  /// Zero mean and unit variance over each of `groups` equal parts of the channels and all
  /// positions of a sample [B, C, ...], then `* weight + bias` for each channel.
  public func groupNorm(_ weight: Tensor?, _ bias: Tensor?, groups: Int, epsilon: Double) -> Tensor
  {
    Operator.groupNorm(self, groups, weight, bias, epsilon)
  }

  /// Zero mean and unit variance for each channel of [B, C, ...], then `* weight + bias`.
  ///
  /// - Parameters:
  ///   - runningMean: and `runningVariance`: statistics [C]; used as they are, or, with `momentum`,
  ///     moved in place by this share (if there are any) towards those of the batch, which are used
  ///     then.
  public func batchNorm(
    _ weight: Tensor?, _ bias: Tensor?, runningMean: Tensor? = nil,
    runningVariance: Tensor? = nil, momentum: Double?, epsilon: Double
  ) -> Tensor {
    Operator.batchNorm(
      self, weight, bias, runningMean, runningVariance, momentum != nil, momentum ?? 0, epsilon,
      true)
  }

  /// `x Phi(x)` with the exact normal distribution function, or its tanh approximation.
  public func gelu(approximate: Bool = false) -> Tensor {
    Operator.gelu(self, approximate ? "tanh" : "none")
  }
  public func relu() -> Tensor { isOutline ? outline(shape) : Operator.relu(self) }
  /// `x sigmoid(x)`
  public func silu() -> Tensor { Operator.silu(self) }
  public func sigmoid() -> Tensor { Operator.sigmoid(self) }
  public func tanh() -> Tensor { Operator.tanh(self) }
  public func softmax(_ dimension: Int = -1) -> Tensor { Operator.softmax(self, dimension) }
  public func logSoftmax(_ dimension: Int = -1) -> Tensor { Operator.logSoftmax(self, dimension) }

  /// Mean softmax cross-entropy of logits [B, K] with labels [B] (int64) or soft targets [B, K].
  public func crossEntropy(_ targets: Tensor, labelSmoothing: Double = 0) -> Tensor {
    Operator.crossEntropy(self, targets, nil, 1, -100, labelSmoothing)
  }

  /// Mean over all elements of the sigmoid cross-entropy of logits with targets in [0, 1].
  public func binaryCrossEntropy(_ targets: Tensor) -> Tensor {
    Operator.binaryCrossEntropy(self, targets)
  }

  /// Class indices (int64) [...] as rows of zeros with a one: [..., classCount] (int64).
  public func oneHot(_ classCount: Int) -> Tensor { Operator.oneHot(self, classCount) }

  /// [B, C, H, W] resampled to `height` x `width`, antialiased when it shrinks.
  public func resized(height: Int, width: Int, bicubic: Bool) -> Tensor {
    (bicubic ? Operator.bicubic : Operator.bilinear)(self, [height, width], false, nil, nil)
  }

  /// [B, C, H, W] at `height` x `width` points of its bicubic interpolation, not antialiased.
  public func bicubicallySampled(height: Int, width: Int) -> Tensor {
    Operator.plainBicubic(self, [height, width], false, nil, nil)
  }
}
