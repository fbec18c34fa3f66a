extension Operator {
  static let reshape = Operator("reshape")
  static let transpose = Operator("transpose", "int")
  static let permute = Operator("permute")
  static let flatten = Operator("flatten", "using_ints")
  static let contiguous = Operator("contiguous")
  static let squeeze = Operator("squeeze", "dim")
  static let unsqueeze = Operator("unsqueeze")
  static let expand = Operator("expand")
  static let select = Operator("select", "int")
  static let narrow = Operator("narrow")
  static let asStrided = Operator("as_strided")
  static let chunk = Operator("chunk")
  static let cat = Operator("cat")
  static let stack = Operator("stack")
  static let indexSelect = Operator("index_select")
  static let roll = Operator("roll")
  static let constantPad = Operator("constant_pad_nd")
  static let blockDiagonal = Operator("block_diag")
  static let unfold = Operator("unfold")
  static let flip = Operator("flip")
}

/// Views and rearrangements. Negative dimensions count from the last.
extension Tensor {
  /// The same elements in row-major order; one size may be -1.
  public func reshaped(_ shape: [Int]) -> Tensor { Operator.reshape(self, shape) }
  public func transposed(_ a: Int, _ b: Int) -> Tensor { Operator.transpose(self, a, b) }
  public func permuted(_ dimensions: [Int]) -> Tensor { Operator.permute(self, dimensions) }
  /// Dimensions `start...end` as one.
  public func flattened(from start: Int = 0, to end: Int = -1) -> Tensor {
    Operator.flatten(self, start, end)
  }
  /// In row-major order without gaps; itself if it already is.
  public func contiguous() -> Tensor { Operator.contiguous(self) }
  /// Without dimension `dimension`, if its size is 1.
  public func squeezed(_ dimension: Int) -> Tensor { Operator.squeeze(self, dimension) }
  /// With a dimension of size 1 before `dimension`.
  public func unsqueezed(_ dimension: Int) -> Tensor { Operator.unsqueeze(self, dimension) }
  /// Dimensions of size 1 repeated to `shape`, without copying; -1 keeps a size.
  public func expanded(_ shape: [Int]) -> Tensor { Operator.expand(self, shape) }

  /// Index `index` of `dimension`, which disappears.
  public func select(_ dimension: Int, _ index: Int) -> Tensor {
    Operator.select(self, dimension, index)
  }
  /// Indices `range` of `dimension`.
  public func narrowed(_ dimension: Int, _ range: Range<Int>) -> Tensor {
    Operator.narrow(self, dimension, range.lowerBound, range.count)
  }
  /// The view of element `offset + i * strides[0] + j * strides[1] + ...` of the memory at `[i, j, ...]`.
  public func strided(_ shape: [Int], strides: [Int], offset: Int) -> Tensor {
    Operator.asStrided(self, shape, strides, offset)
  }
  /// All runs of `size` neighbours along the last dimension: [..., N] -> [..., N - size + 1, size], a
  /// view whose element `[..., i, j]` is `[..., i + j]` of this.
  public func windows(_ size: Int) -> Tensor { Operator.unfold(self, -1, size, 1) }
  /// In reverse order along `dimension`.
  public func reversed(_ dimension: Int) -> Tensor {
    isOutline ? outline(shape) : Operator.flip(self, [dimension])
  }
  /// `count` equal parts along `dimension` (the last may be smaller).
  public func chunked(_ count: Int, dimension: Int) -> [Tensor] {
    Operator.chunk.all(self, count, dimension)
  }
  /// The rows `indices` (int64 vector) of `dimension`.
  public func indexSelect(_ dimension: Int, _ indices: Tensor) -> Tensor {
    guard isOutline else { return Operator.indexSelect(self, dimension, indices) }
    var shape = shape
    shape[dimension < 0 ? rank + dimension : dimension] = indices.count
    return outline(shape)
  }
  /// Moved along dimensions by so many places, in circles: index `i` goes to `i + shift`.
  public func rolled(_ shifts: [Int], dimensions: [Int]) -> Tensor {
    Operator.roll(self, shifts, dimensions)
  }
  /// With `value` before and after: `amounts` are those of the last dimension, then of the one
  /// before it, and so on.
  public func padded(_ amounts: [Int], with value: Double = 0) -> Tensor {
    Operator.constantPad(self, amounts, value)
  }

  public static func concatenated(_ tensors: [Tensor], dimension: Int = 0) -> Tensor {
    Operator.cat(tensors, dimension)
  }
  public static func stacked(_ tensors: [Tensor], dimension: Int = 0) -> Tensor {
    Operator.stack(tensors, dimension)
  }
  /// Matrices on the diagonal of a larger one, zeros elsewhere.
  public static func blockDiagonal(_ blocks: [Tensor]) -> Tensor { Operator.blockDiagonal(blocks) }
}
