import Torch

extension Safetensors {
  /// Writes a safetensors file; an old one is replaced when the new one is complete.
  ///
  /// The same tensors and metadata always give the same bytes, those of the reference writer
  /// (version 0.8): larger elements first, then by name. One tensor at a time is brought to the CPU.
  ///
  /// - Throws: `MingleError` when the file cannot be written; nothing is left behind then.
  public static func write(
    _ tensors: [String: Tensor], metadata: [String: String] = [:], to path: String
  ) throws {
    let (names, header) = try layout(tensors, metadata: metadata, path: path)
    try writeAtomically(to: path) { writer in
      try withUnsafeBytes(of: UInt64(header.count).littleEndian) { try writer.write($0) }
      try writer.write(header)
      for name in names { try tensors[name]?.withUnsafeBytes { try writer.write($0) } }
    }
  }

  /// The order of the data and the header's text, padded to a multiple of eight bytes.
  private static func layout(
    _ tensors: [String: Tensor], metadata: [String: String], path: String
  ) throws -> (names: [String], header: [UInt8]) {
    var fields: [String] = []
    if !metadata.isEmpty {
      let texts = metadata.sorted { $0.key < $1.key }.map { "\(quoted($0)):\(quoted($1))" }
      fields.append("\(quoted(SafetensorsHeader.metadataKey)):{\(texts.joined(separator: ","))}")
    }
    guard tensors[SafetensorsHeader.metadataKey] == nil else {
      throw MingleError(
        .usage, "a tensor cannot have the name \(SafetensorsHeader.metadataKey)", in: path)
    }

    var names: [String] = []
    var offset = 0
    for dtype in DType.safetensorsOrder {
      // Bytes, not Unicode's order: the reference writer compares so.
      let group = tensors.filter { $0.value.dtype == dtype }
        .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      for (name, tensor) in group {
        let end = offset + tensor.byteCount
        let shape = tensor.shape.map(String.init).joined(separator: ",")
        fields.append(
          """
          \(quoted(name)):{"dtype":"\(dtype.safetensorsCode)","shape":[\(shape)],\
          "data_offsets":[\(offset),\(end)]}
          """)
        names.append(name)
        offset = end
      }
    }

    var header = Array("{\(fields.joined(separator: ","))}".utf8)
    header.append(contentsOf: repeatElement(UInt8(ascii: " "), count: -header.count & 7))
    guard header.count <= SafetensorsHeader.maximumLength else {
      throw MingleError(
        .usage, "too many names or too much metadata for a safetensors file", in: path,
        expected: "a header of at most \(SafetensorsHeader.maximumLength) bytes",
        got: "\(header.count)")
    }
    return (names, header)
  }

  /// A JSON string.
  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\u{08}": result += "\\b"
      case "\u{0c}": result += "\\f"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\0"..<"\u{20}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
