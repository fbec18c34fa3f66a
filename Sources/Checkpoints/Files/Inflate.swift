import CZlib
import Torch

/// Unpacks a gzip file (one or more members), checking lengths and checksums.
///
/// - Parameters:
///   - limit: The most bytes that the result may have; more is refused before it is allocated.
///   - path: The file's name for messages.
/// - Throws: `MingleError` (`badData`) for truncated or corrupt data, a wrong checksum, bytes after
///   the last member, or more than `limit` bytes.
package func gunzip(
  _ bytes: UnsafeRawBufferPointer, limit: Int, path: String
) throws -> [UInt8] {
  var output: [UInt8] = []
  var rest = bytes
  repeat {
    let used = try inflate(
      rest, windowBits: MAX_WBITS + 16, into: &output, path: path,
      until: .streamEnds(atMost: limit))
    rest = UnsafeRawBufferPointer(rebasing: rest[used...])
    // Some programs fill the last block with zeros.
  } while !rest.allSatisfy { $0 == 0 }
  return output
}

/// Unpacks a deflate stream without a header, as in a zip file, of known length.
///
/// - Throws: `MingleError` (`badData`) for corrupt data, or another length than `count`.
package func inflateRaw(
  _ bytes: UnsafeRawBufferPointer, count: Int, path: String
) throws -> [UInt8] {
  var output: [UInt8] = []
  let used = try inflate(
    bytes, windowBits: -MAX_WBITS, into: &output, path: path, until: .streamEnds(atMost: count))
  guard output.count == count, used == bytes.count else {
    throw MingleError(
      .badData, "compressed data of another length than declared", in: path,
      expected: "\(count) bytes from \(bytes.count)", got: "\(output.count) from \(used)",
      next: damagedFileAdvice)
  }
  return output
}

/// Unpacks the first `count` bytes, or fewer if there are no more, of a deflate stream.
///
/// - Throws: `MingleError` (`badData`) for corrupt data.
func inflateRawPrefix(
  _ bytes: UnsafeRawBufferPointer, count: Int, path: String
) throws -> [UInt8] {
  var output: [UInt8] = []
  _ = try inflate(
    bytes, windowBits: -MAX_WBITS, into: &output, path: path, until: .outputHas(count))
  return Array(output.prefix(count))
}

/// Whether the bytes begin as a gzip file does.
package func isGzip(_ bytes: UnsafeRawBufferPointer) -> Bool {
  bytes.count >= 3 && bytes[0] == 0x1f && bytes[1] == 0x8b && bytes[2] == 8
}

/// CRC-32 (IEEE 802.3), as in zip and gzip files; `checksum` is that of the bytes before these.
package func crc32(of bytes: UnsafeRawBufferPointer, after checksum: UInt32 = 0) -> UInt32 {
  // zlib takes no bytes for a request of the first checksum.
  guard let start = bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count > 0 else {
    return checksum
  }
  return UInt32(truncatingIfNeeded: crc32_z(UInt(checksum), start, bytes.count))
}

let damagedFileAdvice = "copy or download the file again"

private enum Goal {
  /// The whole stream, whose output must not exceed a limit.
  case streamEnds(atMost: Int)
  /// Only so many bytes of output.
  case outputHas(Int)

  var count: Int {
    switch self {
    case .streamEnds(let limit): limit
    case .outputHas(let count): count
    }
  }
}

/// Unpacks one stream at the start of `bytes`; returns how many of them were read.
private func inflate(
  _ bytes: UnsafeRawBufferPointer, windowBits: CInt, into output: inout [UInt8], path: String,
  until goal: Goal
) throws -> Int {
  func failure(_ what: String) -> MingleError {
    MingleError(.badData, what, in: path, next: damagedFileAdvice)
  }

  // zlib remembers the stream's address: it must not move.
  let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
  stream.initialize(to: z_stream())
  defer { stream.deallocate() }
  let size = CInt(MemoryLayout<z_stream>.size)
  guard inflateInit2_(stream, windowBits, ZLIB_VERSION, size) == Z_OK else {
    throw MingleError(.failed, "zlib cannot start", in: path, next: "install zlib 1.2.11 or newer")
  }
  defer { inflateEnd(stream) }

  // One byte more than wanted shows a stream that is too long.
  var piece = [UInt8](repeating: 0, count: min(goal.count, 1 << 18 - 1) + 1)
  var used = 0
  while true {
    // zlib counts in 32 bits.
    let input = UnsafeRawBufferPointer(rebasing: bytes[used...].prefix(1 << 30))
    let (status, left, produced) = piece.withUnsafeMutableBytes { room in
      stream.pointee.next_in = UnsafeMutablePointer(
        mutating: input.bindMemory(to: UInt8.self).baseAddress)
      stream.pointee.avail_in = UInt32(input.count)
      stream.pointee.next_out = room.bindMemory(to: UInt8.self).baseAddress
      stream.pointee.avail_out = UInt32(room.count)
      let status = CZlib.inflate(stream, Z_NO_FLUSH)
      return (status, Int(stream.pointee.avail_in), room.count - Int(stream.pointee.avail_out))
    }
    used += input.count - left
    if case .streamEnds(let limit) = goal, produced > limit - output.count {
      throw MingleError(
        .badData, "compressed data larger than it may be", in: path,
        expected: "at most \(limit) bytes", next: "unpack the file by hand if you trust it")
    }
    output.append(contentsOf: piece[..<produced])
    if case .outputHas(let count) = goal, output.count >= count { return used }
    switch status {
    case Z_STREAM_END: return used
    case Z_OK where produced > 0 || left < input.count: continue
    case Z_OK, Z_BUF_ERROR: throw failure("compressed data that ends early")
    case Z_MEM_ERROR: throw MingleError(.failed, "not enough memory to unpack", in: path)
    default:
      let reason = stream.pointee.msg.map { " (\(String(cString: $0)))" } ?? ""
      throw failure("damaged compressed data\(reason)")
    }
  }
}
