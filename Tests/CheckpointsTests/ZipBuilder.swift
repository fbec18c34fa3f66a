import Checkpoints

/// A zip archive whose every field can be made wrong.
struct ZipBuilder {
  struct Member {
    var name: String
    var packed: [UInt8]
    var method: UInt16 = 0
    var flags: UInt16 = 0
    // What the archive tells instead of the truth.
    var localName: String?
    var checksum: UInt32?
    var count: Int?
    var packedCount: Int?
    var offset: Int?
    /// Extra fields of the member's own header.
    var localExtra: [UInt8] = []

    init(_ name: String, _ packed: [UInt8]) {
      self.name = name
      self.packed = packed
    }

    /// The member's own header and its bytes.
    var record: [UInt8] {
      let name = localName ?? name
      return [0x50, 0x4b, 3, 4] + fields + littleEndian(UInt16(name.utf8.count))
        + littleEndian(UInt16(localExtra.count)) + Array(name.utf8) + localExtra + packed
    }

    /// From the version needed to the sizes.
    fileprivate var fields: [UInt8] {
      littleEndian(UInt16(20)) + littleEndian(flags) + littleEndian(method)
        + littleEndian(UInt32(0))
        + littleEndian(checksum ?? packed.withUnsafeBytes { crc32(of: $0) })
        + littleEndian(UInt32(packedCount ?? packed.count))
        + littleEndian(UInt32(count ?? packed.count))
    }

    fileprivate func entry(at position: Int) -> [UInt8] {
      [0x50, 0x4b, 1, 2] + littleEndian(UInt16(20)) + fields
        + littleEndian(UInt16(name.utf8.count)) + [UInt8](repeating: 0, count: 12)
        + littleEndian(UInt32(offset ?? position)) + Array(name.utf8)
    }
  }

  var members: [Member]
  var count: Int?
  var disk: UInt16 = 0

  init(_ members: [Member]) { self.members = members }

  func bytes() -> [UInt8] {
    var bytes: [UInt8] = []
    var directory: [UInt8] = []
    for member in members {
      directory += member.entry(at: bytes.count)
      bytes += member.record
    }
    let start = bytes.count
    bytes += directory + [0x50, 0x4b, 5, 6] + littleEndian(disk) + littleEndian(disk)
    for _ in 0..<2 { bytes += littleEndian(UInt16(count ?? members.count)) }
    bytes += littleEndian(UInt32(directory.count)) + littleEndian(UInt32(start))
    return bytes + littleEndian(UInt16(0))
  }
}
