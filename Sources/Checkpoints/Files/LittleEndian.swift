extension UnsafeRawBufferPointer {
  /// The little-endian number at byte `offset`; nil where it would leave the buffer.
  func integer<Value: FixedWidthInteger & BitwiseCopyable>(
    at offset: Int, as type: Value.Type
  ) -> Value? {
    guard offset >= 0, count >= MemoryLayout<Value>.size,
      offset <= count - MemoryLayout<Value>.size
    else { return nil }
    return Value(littleEndian: loadUnaligned(fromByteOffset: offset, as: type))
  }
}

extension [UInt8] {
  /// Adds a number in little-endian order.
  mutating func append<Value: FixedWidthInteger>(littleEndian value: Value) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }

  /// Turns the byte order of each element round, from byte `start` on.
  mutating func swapByteOrder(ofElementsOf size: Int, from start: Int = 0) {
    for element in stride(from: start, to: count, by: size) {
      for index in 0..<size / 2 { swapAt(element + index, element + size - 1 - index) }
    }
  }
}
