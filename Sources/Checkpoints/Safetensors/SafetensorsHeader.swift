import Torch

/// The names, places and metadata of a safetensors file, checked.
///
/// The file is: the header's length (8 bytes, little-endian), the header (JSON), the tensors' bytes.
/// Format: <https://github.com/huggingface/safetensors>.
struct SafetensorsHeader {
  struct Entry {
    let dtype: DType
    let shape: [Int]
    /// Where the elements lie in the file.
    let bytes: Range<Int>
  }

  /// The reference implementation's limit, in bytes.
  static let maximumLength = 100_000_000
  static let metadataKey = "__metadata__"

  private(set) var entries: [String: Entry] = [:]
  private(set) var metadata: [String: String] = [:]
  /// In the order of the data.
  let names: [String]

  /// Reads and checks the header; tensor data is not touched.
  ///
  /// - Throws: `MingleError` (`badData`), for a header that is not valid or does not describe this
  ///   file exactly: every byte after the header must belong to one tensor.
  init(reading file: MappedFile) throws {
    func failure(_ what: String, expected: String? = nil, got: String? = nil) -> MingleError {
      MingleError(
        .badData, what, in: file.path, expected: expected, got: got, next: damagedFileAdvice)
    }

    guard file.count >= 8 else {
      throw failure("no safetensors file", expected: "8 bytes at least", got: "\(file.count)")
    }
    let length = file.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
    guard length <= Self.maximumLength else {
      throw failure(
        "no safetensors file, or a header too large",
        expected: "at most \(Self.maximumLength) bytes",
        got: "\(length)")
    }
    let start = 8 + Int(length)
    guard start <= file.count else {
      throw failure(
        "the file ends within its header", expected: "\(start) bytes", got: "\(file.count)")
    }
    let header = try file.bytes(in: 8..<start)
    guard header.first == UInt8(ascii: "{") else {
      throw failure("no safetensors file", expected: "a header that begins with '{'")
    }

    var scanner = JSONScanner(header, path: file.path)
    var entries: [String: Entry] = [:]
    var metadata: [String: String] = [:]
    try scanner.object { scanner, name in
      if name == Self.metadataKey {
        try scanner.object { scanner, key in metadata[key] = try scanner.string() }
      } else {
        entries[name] = try Self.entry(
          name, from: &scanner, start: start, count: file.count, path: file.path)
      }
    }
    try scanner.end()

    let order = entries.sorted {
      ($0.value.bytes.lowerBound, $0.value.bytes.upperBound, $0.key)
        < ($1.value.bytes.lowerBound, $1.value.bytes.upperBound, $1.key)
    }
    var end = start
    for (name, entry) in order {
      guard entry.bytes.lowerBound == end else {
        let what = entry.bytes.lowerBound < end ? "overlaps another" : "leaves a gap before it"
        throw failure("the data of tensor '\(name)' \(what)")
      }
      end = entry.bytes.upperBound
    }
    guard end == file.count else {
      throw failure(
        "bytes after the last tensor", expected: "\(end) bytes", got: "\(file.count)")
    }
    self.entries = entries
    self.metadata = metadata
    names = order.map(\.key)
  }

  /// Reads `{"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}`.
  private static func entry(
    _ name: String, from scanner: inout JSONScanner, start: Int, count: Int, path: String
  ) throws -> Entry {
    func failure(_ what: String, expected: String? = nil, got: String? = nil) -> MingleError {
      MingleError(
        .badData, "tensor '\(name)' \(what)", in: path, expected: expected, got: got,
        next: damagedFileAdvice)
    }

    var code: String?
    var shape: [Int]?
    var offsets: [Int]?
    try scanner.object { scanner, field in
      switch field {
      case "dtype": code = try scanner.string()
      case "shape": shape = try scanner.integers(atMost: 64)
      case "data_offsets": offsets = try scanner.integers(atMost: 2)
      default: throw failure("has an unknown field '\(field)'")
      }
    }
    guard let code, let shape, let offsets, offsets.count == 2 else {
      throw failure("is not described", expected: "dtype, shape and two data_offsets")
    }
    guard let dtype = DType(safetensorsCode: code) else {
      throw MingleError(
        .badData, "tensor '\(name)' has a dtype that Mingle does not read", in: path,
        expected: DType.safetensorsOrder.map(\.safetensorsCode).joined(separator: ", "),
        got: "'\(code)'", next: "convert the file to one of these dtypes")
    }
    guard offsets[0] <= offsets[1], offsets[1] <= count - start else {
      throw failure(
        "ends beyond the file", expected: "at most \(count - start) bytes of data",
        got: "\(offsets[0])..<\(offsets[1])")
    }
    guard let byteCount = dtype.byteCount(of: shape) else {
      throw failure("has an impossible shape", got: "\(shape)")
    }
    guard byteCount == offsets[1] - offsets[0] else {
      throw failure(
        "has another length than its shape \(shape) and dtype \(code) tell",
        expected: "\(byteCount) bytes", got: "\(offsets[1] - offsets[0])")
    }
    return Entry(dtype: dtype, shape: shape, bytes: start + offsets[0]..<start + offsets[1])
  }
}

extension DType {
  /// Largest elements first, so that every tensor lies aligned: the reference writer's order.
  static let safetensorsOrder: [DType] = [
    .int64, .float64, .float32, .int32, .bfloat16, .float16, .int16, .int8, .uint8, .bool,
  ]

  init?(safetensorsCode code: String) {
    guard let dtype = DType.allCases.first(where: { $0.safetensorsCode == code }) else {
      return nil
    }
    self = dtype
  }

  var safetensorsCode: String {
    switch self {
    case .float64: "F64"
    case .float32: "F32"
    case .float16: "F16"
    case .bfloat16: "BF16"
    case .int64: "I64"
    case .int32: "I32"
    case .int16: "I16"
    case .int8: "I8"
    case .uint8: "U8"
    case .bool: "BOOL"
    }
  }
}
