import Torch

extension MappedFile {
  /// The tensor whose row-major elements begin at byte `offset`: without copying, unless the elements
  /// lie at an address that is no multiple of their size.
  ///
  /// - Throws: `MingleError` (`badData`) when the elements leave the file, or are booleans other
  ///   than 0 and 1. `name` tells which tensor.
  package func tensor(
    at offset: Int, shape: [Int], dtype: DType, name: String
  ) throws -> Tensor {
    guard let byteCount = dtype.byteCount(of: shape), offset >= 0, offset <= count,
      byteCount <= count - offset
    else {
      throw MingleError(
        .badData, "tensor '\(name)' leaves the file", in: path, next: damagedFileAdvice)
    }
    guard byteCount > 0 else { return .empty(shape, dtype: dtype) }
    if dtype == .bool {
      try withUnsafeBytes { file in
        try checkBooleans(
          UnsafeRawBufferPointer(rebasing: file[offset..<offset + byteCount]), name: name,
          path: path)
      }
    }
    guard let borrowed = borrowing(at: offset, shape: shape, dtype: dtype) else {
      return withUnsafeBytes { file in
        Tensor(
          copying: UnsafeRawBufferPointer(rebasing: file[offset..<offset + byteCount]),
          shape: shape, dtype: dtype)
      }
    }
    return borrowed
  }
}

extension DType {
  /// The bytes of a tensor of that shape; nil for what no tensor can be: a negative size, more than
  /// 64 dimensions, sizes whose product (taking 0 as 1, as strides do) overflows.
  package func byteCount(of shape: [Int]) -> Int? {
    guard shape.count <= 64 else { return nil }
    var stride = byteCount
    for size in shape {
      let (product, overflow) = stride.multipliedReportingOverflow(by: max(size, 1))
      guard size >= 0, !overflow else { return nil }
      stride = product
    }
    return shape.contains(0) ? 0 : stride
  }
}

/// libtorch takes any other byte than 0 and 1 for undefined behaviour.
func checkBooleans(_ bytes: UnsafeRawBufferPointer, name: String, path: String) throws {
  guard let other = bytes.first(where: { $0 > 1 }) else { return }
  throw MingleError(
    .badData, "tensor '\(name)' has a damaged boolean", in: path, expected: "0 or 1",
    got: "\(other)", next: damagedFileAdvice)
}
