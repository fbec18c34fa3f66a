import Torch

/// The members of a zip archive, read through a mapping.
///
/// Names are only names: nothing is ever written to them. Archives of several disks, encrypted
/// members, and compression other than deflate are refused; so are members that overlap, repeat a
/// name, tell of more bytes than deflate can pack, or unpack to over 1 GB at more than 100 to 1.
/// Format: PKWARE's APPNOTE.TXT 6.3.
package struct ZipReader: Sendable {
  package struct Member: Sendable {
    package let name: String
    /// Bytes when unpacked.
    package let count: Int
    package let isCompressed: Bool
    /// Where the (packed) bytes lie in the file.
    package let range: Range<Int>
    fileprivate let checksum: UInt32
  }

  /// Deflate packs at most this many bytes into one.
  private static let maximumRatio = 1032

  package let file: MappedFile
  /// In the directory's order.
  package let members: [Member]

  /// Reads and checks the directory; members are not unpacked.
  ///
  /// - Throws: `MingleError` (`badData`) for a file that is no zip archive, or a damaged one.
  package init(_ file: MappedFile) throws {
    self.file = file
    members = try file.withUnsafeBytes { bytes in
      var parser = DirectoryParser(bytes: bytes, path: file.path)
      return try parser.members()
    }
  }

  /// A member's unpacked bytes.
  ///
  /// - Throws: `MingleError` (`badData`) for damaged data or a wrong checksum.
  package func bytes(of member: Member) throws -> [UInt8] {
    let bytes =
      member.isCompressed
      ? try withPackedBytes(of: member) {
        try inflateRaw($0, count: member.count, path: "\(file.path): \(member.name)")
      }
      : try file.bytes(in: member.range)
    try bytes.withUnsafeBytes { try check($0, of: member) }
    return bytes
  }

  /// The first unpacked bytes of a member, at most `count`; their checksum cannot be checked.
  ///
  /// - Throws: `MingleError` (`badData`) for damaged data.
  package func prefix(of member: Member, count: Int) throws -> [UInt8] {
    let count = min(count, member.count)
    guard member.isCompressed else {
      return try file.bytes(in: member.range.lowerBound..<member.range.lowerBound + count)
    }
    return try withPackedBytes(of: member) {
      try inflateRawPrefix($0, count: count, path: "\(file.path): \(member.name)")
    }
  }

  /// Compares a stored member's checksum, for those who read its `range` themselves.
  ///
  /// - Throws: `MingleError` (`badData`) when it is wrong.
  package func checkStored(_ member: Member) throws {
    try withPackedBytes(of: member) { try check($0, of: member) }
  }

  private func withPackedBytes<Result>(
    of member: Member, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    try file.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[member.range])) }
  }

  private func check(_ bytes: UnsafeRawBufferPointer, of member: Member) throws {
    guard crc32(of: bytes) == member.checksum else {
      throw MingleError(
        .badData, "'\(member.name)' has a wrong checksum", in: file.path, next: damagedFileAdvice)
    }
  }
}

extension ZipReader {
  /// Reads the directory at the archive's end.
  private struct DirectoryParser {
    let bytes: UnsafeRawBufferPointer
    let path: String

    mutating func members() throws -> [Member] {
      let directory = try directory()
      var members: [Member] = []
      var names: Set<String> = []
      var occupied: [Range<Int>] = [directory.range]
      var position = directory.range.lowerBound
      while position < directory.range.upperBound {
        let (member, start, next) = try member(at: position, within: directory.range)
        guard names.insert(member.name).inserted else {
          throw failure("has the name '\(member.name)' twice")
        }
        members.append(member)
        occupied.append(start..<member.range.upperBound)
        position = next
      }
      guard members.count == directory.count else {
        throw failure("has \(members.count) members where it tells of \(directory.count)")
      }

      // Zeros pack a thousandfold and are honest; a great amount of them is an attack.
      let inflated = members.filter { $0.isCompressed && $0.count / 100 > $0.range.count }
        .reduce(0.0) { $0 + Double($1.count) }
      guard inflated <= 0x1p30 else {
        throw failure("would unpack to \(Int(inflated / 0x1p20)) MB out of almost nothing")
      }

      occupied.sort { $0.lowerBound < $1.lowerBound }
      for (range, next) in zip(occupied, occupied.dropFirst())
      where range.upperBound > next.lowerBound {
        throw failure("has members that overlap")
      }
      return members
    }

    /// Where the directory lies and how many members it has.
    private func directory() throws -> (range: Range<Int>, count: Int) {
      guard let end = endRecord() else {
        throw failure("has no directory: it ends early, or is no zip file")
      }
      if let directory = try largeDirectory(before: end) { return directory }
      let disks = try number(at: end + 4, as: UInt32.self)
      let count = try number(at: end + 10, as: UInt16.self)
      let size = try number(at: end + 12, as: UInt32.self)
      let start = try number(at: end + 16, as: UInt32.self)
      guard disks == 0 else { throw failure("is one of several disks") }
      guard start + size == end else { throw failure("has a damaged directory") }
      return (start..<end, count)
    }

    /// The position of the record that ends the archive; a comment of up to 65,535 bytes follows it.
    private func endRecord() -> Int? {
      let last = bytes.count - 22
      guard last >= 0 else { return nil }
      return stride(from: last, through: max(0, last - 0xffff), by: -1).first { position in
        bytes.integer(at: position, as: UInt32.self) == 0x0605_4b50
          && bytes.integer(at: position + 20, as: UInt16.self).map(Int.init) == last - position
      }
    }

    /// The zip64 directory, whose locator and record come before the end record; nil without one.
    private func largeDirectory(before end: Int) throws -> (range: Range<Int>, count: Int)? {
      guard bytes.integer(at: end - 20, as: UInt32.self) == 0x0706_4b50 else { return nil }
      let record = try number(at: end - 12, as: UInt64.self)
      guard bytes.integer(at: record, as: UInt32.self) == 0x0606_4b50 else {
        throw failure("has a damaged zip64 directory")
      }
      let disks = try number(at: record + 16, as: UInt64.self)
      let count = try number(at: record + 32, as: UInt64.self)
      let size = try number(at: record + 40, as: UInt64.self)
      let start = try number(at: record + 48, as: UInt64.self)
      guard disks == 0 else { throw failure("is one of several disks") }
      guard size <= record, start == record - size else { throw failure("has a damaged directory") }
      return (start..<record, count)
    }

    /// The member whose directory entry is at `position`, where its own header starts, and where the
    /// next entry is.
    private func member(
      at position: Int, within directory: Range<Int>
    ) throws -> (member: Member, start: Int, next: Int) {
      guard bytes.integer(at: position, as: UInt32.self) == 0x0201_4b50 else {
        throw failure("has a damaged directory")
      }
      let flags = try number(at: position + 8, as: UInt16.self)
      let method = try number(at: position + 10, as: UInt16.self)
      let checksum = try number(at: position + 16, as: UInt32.self)
      var packed = try number(at: position + 20, as: UInt32.self)
      var count = try number(at: position + 24, as: UInt32.self)
      let nameLength = try number(at: position + 28, as: UInt16.self)
      let extraLength = try number(at: position + 30, as: UInt16.self)
      let commentLength = try number(at: position + 32, as: UInt16.self)
      var start = try number(at: position + 42, as: UInt32.self)

      let extra = position + 46 + nameLength
      let next = extra + extraLength + commentLength
      guard next <= directory.upperBound else { throw failure("has a damaged directory") }
      let name = try text(at: position + 46, count: nameLength)
      if var large = try largeField(in: extra..<extra + extraLength) {
        // Only those of the values that did not fit above are there, in this order.
        for value in [\Values.count, \.packed, \.start] {
          var values = Values(count: count, packed: packed, start: start)
          guard values[keyPath: value] == 0xffff_ffff else { continue }
          guard large.count >= 8 else { throw failure("has a damaged zip64 field for '\(name)'") }
          values[keyPath: value] = try number(at: large.lowerBound, as: UInt64.self)
          (count, packed, start) = (values.count, values.packed, values.start)
          large = large.lowerBound + 8..<large.upperBound
        }
      }

      guard flags & 1 == 0 else { throw failure("has the encrypted member '\(name)'") }
      guard method == 0 || method == 8 else {
        throw failure("has '\(name)' in compression method \(method), where only 0 and 8 are known")
      }
      let data = try dataStart(of: name, headerAt: start)
      guard data <= directory.lowerBound, packed <= directory.lowerBound - data else {
        throw failure("ends within '\(name)'")
      }
      let isPossible =
        method == 0 ? count == packed : count / ZipReader.maximumRatio <= packed
      guard isPossible else {
        throw failure("tells that \(packed) bytes of '\(name)' unpack to \(count)")
      }
      let member = Member(
        name: name, count: count, isCompressed: method == 8, range: data..<data + packed,
        checksum: UInt32(checksum))
      return (member, start, next)
    }

    private struct Values {
      var count: Int, packed: Int, start: Int
    }

    /// Where the zip64 values lie among an entry's extra fields.
    private func largeField(in extra: Range<Int>) throws -> Range<Int>? {
      var position = extra.lowerBound
      while position + 4 <= extra.upperBound {
        let kind = try number(at: position, as: UInt16.self)
        let end = position + 4 + (try number(at: position + 2, as: UInt16.self))
        guard end <= extra.upperBound else { throw failure("has a damaged extra field") }
        if kind == 1 { return position + 4..<end }
        position = end
      }
      return nil
    }

    /// Where a member's bytes begin: after its own header, which must tell the same name.
    private func dataStart(of name: String, headerAt start: Int) throws -> Int {
      guard bytes.integer(at: start, as: UInt32.self) == 0x0403_4b50 else {
        throw failure("has no header for '\(name)'")
      }
      let nameLength = try number(at: start + 26, as: UInt16.self)
      let extraLength = try number(at: start + 28, as: UInt16.self)
      guard try text(at: start + 30, count: nameLength) == name else {
        throw failure("has another name in the header of '\(name)'")
      }
      return start + 30 + nameLength + extraLength
    }

    private func text(at offset: Int, count: Int) throws -> String {
      guard offset <= bytes.count, count <= bytes.count - offset,
        let text = String(validating: bytes[offset..<offset + count], as: UTF8.self)
      else { throw failure("has a damaged name") }
      return text
    }

    private func number<Value: FixedWidthInteger & BitwiseCopyable>(
      at offset: Int, as type: Value.Type
    ) throws -> Int {
      guard let value = bytes.integer(at: offset, as: type), let number = Int(exactly: value) else {
        throw failure("has a damaged directory")
      }
      return number
    }

    private func failure(_ what: String) -> MingleError {
      MingleError(.badData, "the archive \(what)", in: path, next: damagedFileAdvice)
    }
  }
}
