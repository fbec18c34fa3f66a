/// Writes a zip archive of stored members; zip64 where sizes or offsets need it.
struct ZipWriter {
  private static let limit = 0xffff_ffff

  private let writer: FileWriter
  private var directory: [UInt8] = []
  private var count = 0

  init(_ writer: FileWriter) { self.writer = writer }

  /// Adds a member of `header` and then `content`.
  ///
  /// - Throws: `MingleError` when the file cannot be written.
  mutating func add(
    _ name: String, header: [UInt8], content: UnsafeRawBufferPointer
  ) throws {
    let checksum = crc32(of: content, after: header.withUnsafeBytes { crc32(of: $0) })
    let size = header.count + content.count
    let offset = writer.count

    // The two sizes share a zip64 field, which both headers must have in full.
    var local = commonFields(checksum: checksum, size: size)
    var sizes: [UInt8] = []
    if size >= Self.limit { for _ in 0..<2 { sizes.append(littleEndian: UInt64(size)) } }
    let localExtra = zip64Field(sizes)
    local.append(littleEndian: UInt16(name.utf8.count))
    local.append(littleEndian: UInt16(localExtra.count))
    try writer.write([0x50, 0x4b, 3, 4] + local + Array(name.utf8) + localExtra)
    try writer.write(header)
    try writer.write(content)

    var values = sizes
    if offset >= Self.limit { values.append(littleEndian: UInt64(offset)) }
    let extra = zip64Field(values)
    directory += [0x50, 0x4b, 1, 2]
    directory.append(littleEndian: UInt16(45))
    directory += commonFields(checksum: checksum, size: size)
    directory.append(littleEndian: UInt16(name.utf8.count))
    directory.append(littleEndian: UInt16(extra.count))
    // No comment, first disk, no attributes.
    directory += [UInt8](repeating: 0, count: 10)
    directory.append(littleEndian: UInt32(min(offset, Self.limit)))
    directory += Array(name.utf8) + extra
    count += 1
  }

  /// Writes the directory; nothing may follow.
  mutating func finish() throws {
    let start = writer.count
    try writer.write(directory)
    var end: [UInt8] = []
    if start >= Self.limit || directory.count >= Self.limit || count >= 0xffff {
      let record = writer.count
      end += [0x50, 0x4b, 6, 6]
      end.append(littleEndian: UInt64(44))
      for _ in 0..<2 { end.append(littleEndian: UInt16(45)) }
      end.append(littleEndian: UInt64(0))
      for _ in 0..<2 { end.append(littleEndian: UInt64(count)) }
      end.append(littleEndian: UInt64(directory.count))
      end.append(littleEndian: UInt64(start))
      end += [0x50, 0x4b, 6, 7]
      end.append(littleEndian: UInt32(0))
      end.append(littleEndian: UInt64(record))
      end.append(littleEndian: UInt32(1))
    }
    end += [0x50, 0x4b, 5, 6, 0, 0, 0, 0]
    for _ in 0..<2 { end.append(littleEndian: UInt16(min(count, 0xffff))) }
    end.append(littleEndian: UInt32(min(directory.count, Self.limit)))
    end.append(littleEndian: UInt32(min(start, Self.limit)))
    end.append(littleEndian: UInt16(0))
    try writer.write(end)
  }

  /// What a member's header and its directory entry share, from the version needed to the sizes.
  private func commonFields(checksum: UInt32, size: Int) -> [UInt8] {
    var fields: [UInt8] = []
    fields.append(littleEndian: UInt16(45))
    // Bit 11: the name is UTF-8. Method 0: stored.
    fields.append(littleEndian: UInt16(1 << 11))
    fields.append(littleEndian: UInt16(0))
    // The first moment that the format knows, 1980-01-01: the same tensors give the same bytes.
    fields.append(littleEndian: UInt16(0))
    fields.append(littleEndian: UInt16(1 << 5 | 1))
    fields.append(littleEndian: checksum)
    for _ in 0..<2 { fields.append(littleEndian: UInt32(min(size, Self.limit))) }
    return fields
  }

  private func zip64Field(_ values: [UInt8]) -> [UInt8] {
    guard !values.isEmpty else { return [] }
    var field: [UInt8] = []
    field.append(littleEndian: UInt16(1))
    field.append(littleEndian: UInt16(values.count))
    return field + values
  }
}
