import Torch

/// Reads the bytes of a pickle, never beyond its end.
struct PickleReader {
  /// Larger pickles are refused: the elements of tensors are not in them.
  static let maximumCount = 1 << 28

  private let bytes: UnsafeRawBufferPointer
  private let path: String
  private let start: Int
  private let end: Int
  /// Where the next byte is.
  private(set) var position: Int

  /// - Parameters:
  ///   - bytes: the file, or what holds the pickle.
  ///   - position: where the pickle begins.
  ///   - path: The file's name for messages.
  init(_ bytes: UnsafeRawBufferPointer, from position: Int, path: String) {
    self.bytes = bytes
    self.path = path
    self.position = position
    start = position
    end = position + min(bytes.count - position, Self.maximumCount)
  }

  /// How many bytes there are from here on.
  var rest: Int { end - position }

  mutating func byte() throws -> UInt8 { try integer(as: UInt8.self) }

  /// A little-endian number.
  mutating func integer<Value: FixedWidthInteger & BitwiseCopyable>(
    as type: Value.Type
  ) throws -> Value {
    guard rest >= MemoryLayout<Value>.size, let value = bytes.integer(at: position, as: type)
    else { throw endsEarly }
    position += MemoryLayout<Value>.size
    return value
  }

  /// Bytes after their number, which has the given type.
  mutating func counted<Count: FixedWidthInteger & BitwiseCopyable>(
    by type: Count.Type
  ) throws -> UnsafeRawBufferPointer {
    guard let count = Int(exactly: try integer(as: type)), count >= 0, count <= rest else {
      throw endsEarly
    }
    defer { position += count }
    return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
  }

  mutating func text<Count: FixedWidthInteger & BitwiseCopyable>(
    countedBy type: Count.Type
  ) throws -> String {
    String(decoding: try counted(by: type), as: UTF8.self)
  }

  /// The text up to the next line feed.
  mutating func line() throws -> String {
    let line = bytes[position..<end].prefix { $0 != 0x0a }
    guard line.endIndex < end else { throw endsEarly }
    position = line.endIndex + 1
    return String(decoding: line, as: UTF8.self)
  }

  /// A pickle with `what` in it, at the place just read.
  func failure(_ what: String, next: String = damagedFileAdvice) -> MingleError {
    MingleError(
      .badData, "the pickle has \(what) at byte \(position - start)", in: path, next: next)
  }

  private var endsEarly: MingleError {
    guard end == bytes.count else {
      return MingleError(
        .badData, "a pickle too large", in: path, expected: "at most \(Self.maximumCount) bytes",
        next: "save the weights alone")
    }
    return MingleError(.badData, "the pickle ends early", in: path, next: damagedFileAdvice)
  }
}
