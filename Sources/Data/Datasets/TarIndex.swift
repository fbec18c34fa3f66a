import Checkpoints
import Torch

/// A file inside a tar file.
struct TarMember: Hashable, Sendable {
  var path: String
  var bytes: Range<Int>
}

/// The regular files of a tar file: ustar, pax and GNU long names, sizes above 8 GiB.
///
/// - Throws: `MingleError` (`badData`) for a wrong checksum, a size past the end of the file, a
///   file without its end mark, and a picture that is stored as a link or with holes.
func tarMembers(of file: MappedFile) throws -> [TarMember] {
  try file.withUnsafeBytes { try TarReader(bytes: $0, place: file.path).members() }
}

private struct TarReader {
  static let block = 512
  /// Long names and pax records; real ones take a few hundred bytes.
  static let metadataLimit = 1 << 20

  let bytes: UnsafeRawBufferPointer
  let place: String

  func members() throws -> [TarMember] {
    guard bytes.count >= Self.block else { throw truncated() }
    var members: [TarMember] = []
    var longPath: String?
    var longSize: Int?
    var offset = 0
    while true {
      guard bytes.count - offset >= Self.block else { throw truncated() }
      let header = UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + Self.block)])
      if header.allSatisfy({ $0 == 0 }) { return members }
      try check(header, at: offset)

      let type = header[156]
      let isExtension = [
        UInt8(ascii: "x"), UInt8(ascii: "g"), UInt8(ascii: "L"),
        UInt8(ascii: "K"),
      ].contains(type)
      let size = try (isExtension ? nil : longSize) ?? number(header[124..<136], at: offset)
      let start = offset + Self.block
      guard size >= 0, size <= bytes.count - start else { throw truncated() }
      let content = start..<(start + size)
      offset = start + (size + Self.block - 1) / Self.block * Self.block

      if isExtension {
        guard size <= Self.metadataLimit else {
          throw damaged("a name that is too long", at: start)
        }
        switch type {
        case UInt8(ascii: "L"): longPath = text(bytes[content])
        case UInt8(ascii: "x"):
          for (key, value) in try paxRecords(bytes[content], at: start) {
            if key == "path" { longPath = value }
            if key == "size" { longSize = Int(value) ?? -1 }
            if key.hasPrefix("GNU.sparse") { throw damaged("a file with holes", at: start) }
          }
        default: break
        }
        continue
      }

      let path = longPath ?? shortPath(header)
      (longPath, longSize) = (nil, nil)
      switch type {
      case UInt8(ascii: "0"), UInt8(ascii: "7"), 0:
        if !path.hasSuffix("/") { members.append(TarMember(path: path, bytes: content)) }
      case UInt8(ascii: "1"), UInt8(ascii: "2"), UInt8(ascii: "S"):
        guard FileKind(path) == .other else {
          throw MingleError(
            .badData, "a picture stored as a link or with holes", in: "\(place):\(path)",
            expected: "ordinary files", next: "make the tar file with --hard-dereference -h")
        }
      default: break
      }
    }
  }

  /// The sum of the header's bytes, its own field counted as spaces.
  private func check(_ header: UnsafeRawBufferPointer, at offset: Int) throws {
    var sum = 8 * Int(UInt8(ascii: " "))
    for (index, byte) in header.enumerated() where !(148..<156).contains(index) {
      sum += Int(byte)
    }
    guard try number(header[148..<156], at: offset) == sum else {
      let isFirst = offset == 0
      throw damaged(isFirst ? "not a tar file" : "a damaged tar file (wrong checksum)", at: offset)
    }
  }

  /// Octal digits, or, when the first bit is set, a big-endian number.
  private func number(_ field: Slice<UnsafeRawBufferPointer>, at offset: Int) throws -> Int {
    if let first = field.first, first & 0x80 != 0 {
      var value = Int(first & 0x7F)
      for byte in field.dropFirst() {
        guard value < 1 << 48 else { throw damaged("a size that cannot be", at: offset) }
        value = value << 8 | Int(byte)
      }
      return value
    }
    let digits = text(field).trimmedSpaces
    guard let value = digits.isEmpty ? 0 : Int(digits, radix: 8) else {
      throw damaged("a damaged tar file (a number that cannot be read)", at: offset)
    }
    return value
  }

  private func shortPath(_ header: UnsafeRawBufferPointer) -> String {
    let name = text(header[0..<100])
    // GNU's own format has other fields in the prefix's place; it writes "ustar  ".
    let isPOSIX = header[257..<263].elementsEqual("ustar\0".utf8)
    let prefix = isPOSIX ? text(header[345..<500]) : ""
    return prefix.isEmpty ? name : prefix + "/" + name
  }

  /// Records `LENGTH KEY=VALUE\n`.
  private func paxRecords(
    _ field: Slice<UnsafeRawBufferPointer>, at offset: Int
  ) throws -> [(String, String)] {
    var records: [(String, String)] = []
    var rest = field
    while let first = rest.first, first != 0 {
      guard let space = rest.firstIndex(of: UInt8(ascii: " ")),
        let length = Int(String(decoding: rest[..<space], as: UTF8.self)),
        length > space - rest.startIndex + 1, length <= rest.count
      else { throw damaged("a damaged pax header", at: offset) }
      let record = rest[(space + 1)..<(rest.startIndex + length - 1)]
      guard let equals = record.firstIndex(of: UInt8(ascii: "=")) else {
        throw damaged("a damaged pax header", at: offset)
      }
      records.append(
        (
          String(decoding: record[..<equals], as: UTF8.self),
          String(decoding: record[(equals + 1)...], as: UTF8.self)
        ))
      rest = rest[(rest.startIndex + length)...]
    }
    return records
  }

  private func text(_ field: Slice<UnsafeRawBufferPointer>) -> String {
    String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
  }

  private func truncated() -> MingleError {
    MingleError(
      .badData, "the tar file ends early", in: place, got: "\(bytes.count) bytes",
      next: "copy or download it again")
  }

  private func damaged(_ what: String, at offset: Int) -> MingleError {
    MingleError(
      .badData, what, in: "\(place), byte \(offset)",
      next: "copy or download it again, or unpack it and name the folder")
  }
}

extension String {
  fileprivate var trimmedSpaces: Substring {
    let start = drop { $0 == " " }
    return start.prefix { $0 != " " }
  }
}
