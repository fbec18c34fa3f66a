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
  /// What numbers are multiplied as.
  package enum Format: Sendable, Equatable {
    case float32
    /// In float32 by Strassen's products, which are an eighth fewer.
    case strassen
    /// In float32, of a convolution's kernels of 3x3 for squares of `side` x `side` results, 2 or 4, by Winograd's
    /// minimal filtering.
    case winograd(side: Int)
    /// Weights and activations rounded to bfloat16, as ``Engine/hasBFloat16Products`` makes it worth.
    case bfloat16
    /// Weights in 8 bits of their row's range, activations in 8 bits of their own,
    /// or of a range known beforehand.
    case bytes
  }

  /// Weights in 8 bits: integers, what one of them is for each row, and sums of integers.
  private struct Bytes: Sendable {
    let values, scales, sums: Tensor
  }

  /// Of the activations that it multiplies in bytes, if it is known beforehand.
  var range: ActivationRange?
  /// O
  let rows: Int
  /// I
  let depth: Int
  let bias: Tensor?
  let format: Format
  private let floats: Tensor?
  private let bytes: Bytes?

  /// For channel mixing: in panels, with rows and the bias padded to whole panels.
  static func panels(
    hidden: (weight: Tensor, bias: Tensor?)?, _ last: (weight: Tensor, bias: Tensor?),
    _ format: Format
  ) -> (hidden: PackedWeight?, last: PackedWeight) {
    let depth = last.weight.shape[1]
    guard let (weight, bias) = hidden else {
      return (nil, panels(last.weight, last.bias, depth: depth, format))
    }
    return (
      panels(weight, bias ?? .zeros([weight.shape[0]]), depth: weight.shape[1], format),
      panels(last.weight, last.bias, depth: paddedToPanels(depth), format)
    )
  }

  /// - Parameter depth: I, if zeros are to follow the weight's columns.
  private static func panels(
    _ weight: Tensor, _ bias: Tensor?, depth: Int, _ format: Format
  ) -> PackedWeight {
    let rows = weight.shape[0], width = paddedToPanels(rows)
    let packing: Packing =
      switch format {
      case .float32: .floats(ct_panels_size, ct_pack_panels)
      case .strassen: .floats(ct_strassen_panels_size, ct_pack_strassen_panels)
      case .winograd: preconditionFailure("a convolution's weight is packed in tiles")
      case .bfloat16: .floats(ct_bfloat16_panels_size, ct_pack_bfloat16_panels)
      case .bytes: .bytes(ct_byte_panels_size, ct_pack_byte_panels, scaleCount: width)
      }
    return PackedWeight(
      weight.padded([0, depth - weight.shape[1]]), bias: bias?.padded([0, width - rows]), format,
      packing)
  }

  /// For ``ColumnMix``: in tiles.
  static func tiles(_ weight: Tensor, _ bias: Tensor?, _ format: Format) -> PackedWeight {
    let packing: Packing =
      switch format {
      case .float32: .floats(ct_tiles_size, ct_pack_tiles)
      case .strassen: .floats(ct_strassen_tiles_size, ct_pack_strassen_tiles)
      case .winograd(let side):
        .floats(
          { ct_winograd_tiles_size($0, $1, Int64(side)) },
          { ct_pack_winograd_tiles($0, $1, $2, Int64(side), $3) })
      case .bfloat16: .floats(ct_bfloat16_tiles_size, ct_pack_bfloat16_tiles)
      case .bytes: .bytes(ct_byte_tiles_size, ct_pack_byte_tiles, scaleCount: weight.shape[0])
      }
    return PackedWeight(weight, bias: bias, format, packing)
  }

  private static func paddedToPanels(_ count: Int) -> Int {
    let width = Int(ct_panel_width())
    return (count + width - 1) / width * width
  }

  private typealias Size = (Int64, Int64) -> Int64
  private typealias Pack = (
    UnsafePointer<Float>?, Int64, Int64, UnsafeMutablePointer<Float>?
  ) -> Int32
  private typealias PackBytes = (
    UnsafePointer<Float>?, Int64, Int64, UnsafeMutablePointer<Int8>?, UnsafeMutablePointer<Float>?,
    UnsafeMutablePointer<Float>?
  ) -> Int32

  /// The functions of one format: how much memory a weight takes, and what writes it.
  private enum Packing {
    case floats(Size, Pack)
    case bytes(Size, PackBytes, scaleCount: Int)
  }

  private init(_ weight: Tensor, bias: Tensor?, _ format: Format, _ packing: Packing) {
    let weight = weight.to(.float32).contiguous()
    (rows, depth) = (weight.shape[0], weight.shape[1])
    self.bias = bias?.to(.float32).contiguous()
    self.format = format
    let (rows, depth) = (Int64(rows), Int64(depth))
    let status: Int32
    switch packing {
    case .floats(let size, let pack):
      let floats = Tensor.empty([Int(size(rows, depth))])
      status = pack(weight.floats, rows, depth, floats.mutableFloats)
      (self.floats, bytes) = (floats, nil)
    case .bytes(let size, let pack, let scaleCount):
      let group = Int(ct_byte_group())
      let bytes = Bytes(
        values: .empty([Int(size(rows, depth))], dtype: .int8), scales: .empty([scaleCount]),
        sums: .empty([scaleCount * ((self.depth + group - 1) / group)]))
      status = pack(
        weight.floats, rows, depth, bytes.values.mutableBytes, bytes.scales.mutableFloats,
        bytes.sums.mutableFloats)
      (floats, self.bytes) = (nil, bytes)
    }
    Engine.check(status, "packing of \(weight)")
  }

  /// The weight for a kernel, in one of the forms.
  var pointers: (floats: UnsafePointer<Float>?, bytes: CTByteWeight) {
    (
      floats?.floats,
      CTByteWeight(
        values: UnsafePointer(bytes?.values.mutableBytes), scales: bytes?.scales.floats,
        sums: bytes?.sums.floats, low: range?.low ?? 0, high: range?.high ?? 0)
    )
  }
}

extension Tensor {
  /// The first element's address.
  var floats: UnsafePointer<Float>? { UnsafePointer(mutableFloats) }

  var mutableFloats: UnsafeMutablePointer<Float>? {
    ct_tensor_data(pointer)?.assumingMemoryBound(to: Float.self)
  }

  fileprivate var mutableBytes: UnsafeMutablePointer<Int8>? {
    ct_tensor_data(pointer)?.assumingMemoryBound(to: Int8.self)
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
