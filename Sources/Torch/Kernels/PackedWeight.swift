import CTorch

/// An elementwise function that kernels apply to results while these are in registers.
package enum KernelActivation: Sendable {
  case identity, gelu, geluTanh, relu, silu

  var code: CTActivation {
    switch self {
    case .identity: CT_IDENTITY
    case .gelu: CT_GELU
    case .geluTanh: CT_GELU_TANH
    case .relu: CT_RELU
    case .silu: CT_SILU
    }
  }
}

/// A linear layer's weight [O, I] in the order in which kernels read it, and its bias.
package struct PackedWeight: Sendable {
  /// O
  let rows: Int
  /// I
  let depth: Int
  let weight: Tensor
  let bias: Tensor?

  /// For ``RowMix``: in panels, with rows and the bias padded to whole panels.
  static func panels(_ weight: Tensor, _ bias: Tensor?, depth: Int) -> PackedWeight {
    let rows = weight.shape[0]
    let width = paddedToPanels(rows)
    let padded = bias.map { $0.to(.float32).padded([0, width - rows]).contiguous() }
    return PackedWeight(
      weight.padded([0, depth - weight.shape[1]]), bias: padded, size: ct_panels_size,
      pack: ct_pack_panels)
  }

  /// For ``ColumnMix``: in tiles.
  static func tiles(_ weight: Tensor, _ bias: Tensor?) -> PackedWeight {
    PackedWeight(
      weight, bias: bias?.to(.float32).contiguous(), size: ct_tiles_size, pack: ct_pack_tiles)
  }

  static func paddedToPanels(_ count: Int) -> Int {
    let width = Int(ct_panel_width())
    return (count + width - 1) / width * width
  }

  private init(
    _ weight: Tensor, bias: Tensor?, size: (Int64, Int64) -> Int64,
    pack: (UnsafePointer<Float>?, Int64, Int64, UnsafeMutablePointer<Float>?) -> Void
  ) {
    let weight = weight.to(.float32).contiguous()
    (rows, depth) = (weight.shape[0], weight.shape[1])
    self.bias = bias
    self.weight = .empty([Int(size(Int64(rows), Int64(depth)))])
    pack(weight.floats, Int64(rows), Int64(depth), self.weight.mutableFloats)
  }
}

extension Tensor {
  /// The first element's address.
  var floats: UnsafePointer<Float>? { UnsafePointer(mutableFloats) }

  var mutableFloats: UnsafeMutablePointer<Float>? {
    ct_tensor_data(pointer)?.assumingMemoryBound(to: Float.self)
  }

  /// How far apart the rows are, if all dimensions but the last `trailing` can be counted as one and
  /// those last ones lie without gaps; nil where they cannot.
  func rowStride(trailing: Int) -> Int? {
    let (shape, strides) = (shape, strides)
    let split = shape.count - trailing
    var expected = 1
    for axis in (split..<shape.count).reversed() {
      if shape[axis] != 1 && strides[axis] != expected { return nil }
      expected *= shape[axis]
    }
    var stride: Int?
    var next = 0
    for axis in (0..<split).reversed() where shape[axis] != 1 {
      if stride == nil {
        stride = strides[axis]
      } else if strides[axis] != next {
        return nil
      }
      next = strides[axis] * shape[axis]
    }
    return stride ?? expected
  }
}
