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
}
