import Torch

/// What precedes the elements of a NumPy array file (.npy, versions 1 to 3).
///
/// The file is: magic, version, the header's length, the header (a Python dictionary as text), the
/// elements. Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
struct ArrayHeader: Sendable {
  static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
  /// Longer headers belong to record arrays, which are not read.
  static let maximumCount = 1 << 14

  let dtype: DType
  let shape: [Int]
  let isBigEndian: Bool
  /// Whether the first index varies fastest.
  let isColumnMajor: Bool
  /// Where the elements begin.
  let count: Int
  /// Bytes of the elements.
  let byteCount: Int

  /// Reads and checks the header.
  ///
  /// - Parameters:
  ///   - bytes: The array file's beginning, ``maximumCount`` bytes if it has so many.
  ///   - path: The file's and array's name for messages.
  /// - Throws: `MingleError` (`badData`) for a damaged header, a pickled object array, or a dtype
  ///   that Mingle does not read.
  init(_ bytes: [UInt8], path: String) throws {
    func failure(_ what: String, got: String? = nil, next: String) -> MingleError {
      MingleError(.badData, what, in: path, got: got, next: next)
    }

    let lengths: (field: Int, header: Int?) = bytes.withUnsafeBytes { bytes in
      guard bytes.starts(with: Self.magic), bytes.count >= 8 else { return (0, nil) }
      switch bytes[6] {
      case 1: return (2, bytes.integer(at: 8, as: UInt16.self).map(Int.init))
      case 2, 3: return (4, bytes.integer(at: 8, as: UInt32.self).map(Int.init))
      default: return (0, nil)
      }
    }
    guard let length = lengths.header else {
      throw failure("not a NumPy array of version 1 to 3", next: "save it with numpy.savez")
    }
    count = 8 + lengths.field + length
    guard count <= Self.maximumCount else {
      throw failure(
        "an array header too long", got: "\(count) bytes", next: "save the array as plain numbers")
    }
    guard count <= bytes.count else {
      throw failure("the array ends within its header", next: damagedFileAdvice)
    }

    var scanner = PythonScanner(bytes[(count - length)..<count], path: path)
    let fields = try scanner.arrayDescription()
    shape = fields.shape
    isColumnMajor = fields.isColumnMajor
    isBigEndian = fields.type.hasPrefix(">")
    let code = fields.type.drop { "<>|=".contains($0) }
    guard !code.hasPrefix("O") else {
      throw failure(
        "an array of pickled Python objects, which are never loaded",
        next: "save it as numbers: array.astype(numpy.float32)")
    }
    guard let dtype = Self.dtypes[String(code)] else {
      throw failure(
        "an array of a dtype that Mingle does not read", got: "'\(fields.type)'",
        next: "convert it to float32, int64, uint8 or bool")
    }
    guard let byteCount = dtype.byteCount(of: shape) else {
      throw failure("an array of an impossible shape", got: "\(shape)", next: damagedFileAdvice)
    }
    self.dtype = dtype
    self.byteCount = byteCount
  }

  static let dtypes: [String: DType] = [
    "f2": .float16, "f4": .float32, "f8": .float64,
    "i1": .int8, "i2": .int16, "i4": .int32, "i8": .int64,
    "u1": .uint8, "b1": .bool,
  ]

  /// The bytes before the elements of a row-major array; nil for a dtype that NumPy lacks (bfloat16).
  static func bytes(shape: [Int], dtype: DType) -> [UInt8]? {
    guard let code = dtypes.first(where: { $0.value == dtype })?.key else { return nil }
    let order = dtype.byteCount == 1 ? "|" : "<"
    let sizes = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var text = "{'descr': '\(order)\(code)', 'fortran_order': False, 'shape': (\(sizes)), }"
    // Magic, version, length, text and the final newline fill a multiple of 64 bytes.
    text += String(repeating: " ", count: -(10 + text.utf8.count + 1) & 63) + "\n"
    var bytes = magic + [1, 0]
    bytes.append(littleEndian: UInt16(text.utf8.count))
    return bytes + Array(text.utf8)
  }
}
