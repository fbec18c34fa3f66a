import Torch

/// Reads the fields of a protocol buffer message (proto2's wire format).
struct ProtobufReader {
  enum Field {
    case number(Int, UInt64)
    case fixed32(Int, UInt32)
    case bytes(Int, Range<Int>)
    /// A kind that no field here uses, already skipped.
    case other
  }

  /// What is wrong with the bytes.
  struct Malformed: Error {}

  private let bytes: UnsafeRawBufferPointer
  private var offset: Int
  private let end: Int

  init(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
    self.bytes = bytes
    offset = range.lowerBound
    end = range.upperBound
  }

  /// The next field; nil at the message's end.
  ///
  /// - Throws: ``Malformed`` when a field leaves the message.
  mutating func next() throws(Malformed) -> Field? {
    guard offset < end else { return nil }
    let key = try varint()
    guard key >> 3 > 0, key >> 3 < 1 << 29 else { throw Malformed() }
    let number = Int(key >> 3)
    switch key & 7 {
    case 0:
      return .number(number, try varint())
    case 1:
      try skip(8)
      return .other
    case 2:
      let count = try varint()
      guard count <= UInt64(end - offset) else { throw Malformed() }
      defer { offset += Int(count) }
      return .bytes(number, offset..<offset + Int(count))
    case 5:
      let start = offset
      try skip(4)
      let value = bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self)
      return .fixed32(number, UInt32(littleEndian: value))
    default:
      throw Malformed()  // groups were never used
    }
  }

  private mutating func skip(_ count: Int) throws(Malformed) {
    guard end - offset >= count else { throw Malformed() }
    offset += count
  }

  private mutating func varint() throws(Malformed) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard offset < end else { throw Malformed() }
      let byte = bytes[offset]
      offset += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    throw Malformed()
  }
}

/// Writes a protocol buffer message.
struct ProtobufWriter {
  private(set) var bytes: [UInt8] = []

  mutating func add(_ number: Int, _ value: Int) {
    varint(UInt64(number) << 3)
    varint(UInt64(bitPattern: Int64(value)))
  }

  mutating func add(_ number: Int, _ value: Bool) { add(number, value ? 1 : 0) }

  mutating func add(_ number: Int, _ value: Float) {
    varint(UInt64(number) << 3 | 5)
    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
  }

  mutating func add(_ number: Int, _ value: some Collection<UInt8>) {
    varint(UInt64(number) << 3 | 2)
    varint(UInt64(value.count))
    bytes.append(contentsOf: value)
  }

  mutating func add(_ number: Int, _ value: String) { add(number, Array(value.utf8)) }

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7F | 0x80))
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}
