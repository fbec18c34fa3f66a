import Checkpoints
import Testing
import Torch

@Suite struct InflateTests {
  /// Python: gzip.compress(b"mingle " * 40, mtime=0).
  static let packed: [UInt8] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 203, 205, 204, 75, 207, 73, 85, 200, 29, 165, 80, 41, 0, 19,
    245, 53, 184, 24, 1, 0, 0,
  ]
  static let plain = Array(String(repeating: "mingle ", count: 40).utf8)

  private func unpack(_ bytes: [UInt8], limit: Int = 1000) throws -> [UInt8] {
    try bytes.withUnsafeBytes { try gunzip($0, limit: limit, path: "a.gz") }
  }

  @Test func members() throws {
    #expect(try unpack(Self.packed) == Self.plain)
    #expect(try unpack(Self.packed, limit: Self.plain.count) == Self.plain)
    #expect(try unpack(Self.packed + Self.packed) == Self.plain + Self.plain)
    #expect(try unpack(Self.packed + [0, 0, 0]) == Self.plain)
  }

  @Test func recognises() {
    #expect(Self.packed.withUnsafeBytes(isGzip))
    #expect(![0x1f, 0x8b].withUnsafeBytes(isGzip))
  }

  @Test func checksum() {
    // The check value of CRC-32/ISO-HDLC.
    #expect(Array("123456789".utf8).withUnsafeBytes { crc32(of: $0) } == 0xcbf4_3926)
    #expect([UInt8]().withUnsafeBytes { crc32(of: $0) } == 0)
  }

  @Test func everyTruncationIsRefused() {
    for count in 0..<Self.packed.count {
      #expect(mingleError { _ = try unpack(Array(Self.packed.prefix(count))) }?.kind == .badData)
    }
  }

  @Test func refusesDamage() {
    var wrongChecksum = Self.packed
    wrongChecksum[wrongChecksum.count - 8] ^= 1
    #expect(
      mingleError { _ = try unpack(wrongChecksum) }?.what.contains("incorrect data check") == true)
    #expect(mingleError { _ = try unpack(Self.packed + [1, 2]) }?.kind == .badData)
    #expect(mingleError { _ = try unpack([1, 2, 3, 4, 5]) }?.kind == .badData)
    let bomb = mingleError { _ = try unpack(Self.packed, limit: Self.plain.count - 1) }
    #expect(bomb?.what == "compressed data larger than it may be")
  }

  @Test func rawStreamOfAnotherLength() throws {
    // Without gzip's 10-byte header and 8-byte trailer.
    let raw = Array(Self.packed[10..<(Self.packed.count - 8)])
    func unpackRaw(_ bytes: [UInt8], count: Int) throws -> [UInt8] {
      try bytes.withUnsafeBytes { try inflateRaw($0, count: count, path: "a.npz") }
    }
    #expect(try unpackRaw(raw, count: Self.plain.count) == Self.plain)
    for count in [0, Self.plain.count - 1, Self.plain.count + 1] {
      #expect(mingleError { _ = try unpackRaw(raw, count: count) }?.kind == .badData)
    }
    #expect(mingleError { _ = try unpackRaw(raw + [0], count: Self.plain.count) } != nil)
  }
}
