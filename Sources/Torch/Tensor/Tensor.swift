import CTorch

/// An n-dimensional array in libtorch's memory.
///
/// Copies of the value refer to the same memory, which is freed with the last of them. Operators
/// whose name ends in `InPlace` write to that memory; all others make a new tensor (or a view). A
/// wrong shape is a programmer's error and stops the program with operator, shapes and dtypes.
public struct Tensor: Sendable {
  let handle: TensorHandle

  var pointer: CTTensor { handle.pointer }

  init(owning pointer: CTTensor) { handle = TensorHandle(owning: pointer) }
}

// MARK: - Properties

extension Tensor {
  /// The size of each dimension; empty for a scalar.
  public var shape: [Int] {
    let rank = Int(ct_tensor_rank(pointer))
    return [Int](unsafeUninitializedCapacity: rank) { buffer, count in
      buffer.withMemoryRebound(to: Int64.self) { sizes in
        if let start = sizes.baseAddress { ct_tensor_sizes(pointer, start) }
      }
      count = rank
    }
  }

  /// How many dimensions.
  public var rank: Int { Int(ct_tensor_rank(pointer)) }

  /// How many elements.
  public var count: Int { Int(ct_tensor_count(pointer)) }

  /// How many bytes the elements take.
  public var byteCount: Int { count * dtype.byteCount }

  public var dtype: DType {
    let code = ct_tensor_dtype(pointer)
    guard let dtype = DType(rawValue: code) else {
      Engine.fail("a tensor of libtorch's dtype \(code), which Mingle does not use")
    }
    return dtype
  }

  public var device: Device { Device(code: ct_tensor_device(pointer)) }

  /// Grows whenever the elements are written to, through this tensor or a view of it.
  package var version: Int { Int(ct_tensor_version(pointer)) }

  /// Counts a change that was not made by an operator, or by one on lists, which do not count theirs.
  package func countChange() { ct_tensor_touch(pointer) }

  /// Whether the elements lie in memory in row-major order without gaps.
  public var isContiguous: Bool { ct_tensor_is_contiguous(pointer) != 0 }
}

extension Tensor: CustomStringConvertible {
  /// "[2, 3] float32", with the device unless it is the CPU.
  public var description: String {
    "\(shape) \(dtype.name)" + (device == .cpu ? "" : " \(device)")
  }
}
