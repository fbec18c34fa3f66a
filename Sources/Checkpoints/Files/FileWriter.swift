import Torch

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Writes a stream of bytes to an open file, gathering small pieces.
package final class FileWriter {
  /// Pieces smaller than this wait for more.
  private static let capacity = 1 << 16

  private let descriptor: CInt
  /// The path for messages: the one that the user gave.
  private let path: String
  private var pending: [UInt8] = []
  /// Bytes accepted so far: the offset of the next one.
  package private(set) var count = 0

  init(descriptor: CInt, path: String) {
    self.descriptor = descriptor
    self.path = path
    pending.reserveCapacity(Self.capacity)
  }

  /// - Throws: `MingleError` (`failed`) when the system refuses, for example on a full disk.
  package func write(_ bytes: UnsafeRawBufferPointer) throws {
    count += bytes.count
    if pending.count + bytes.count > Self.capacity { try flush() }
    if bytes.count > Self.capacity {
      try writeAll(bytes)
    } else {
      pending.append(contentsOf: bytes)
    }
  }

  package func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes(write) }

  package func write(_ text: String) throws { try write(Array(text.utf8)) }

  /// Hands everything to the system.
  func flush() throws {
    try pending.withUnsafeBytes(writeAll)
    pending.removeAll(keepingCapacity: true)
  }

  private func writeAll(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      // One system call takes at most 2 GB.
      let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 30))
      let written = systemWrite(descriptor, piece.baseAddress, piece.count)
      if written >= 0 {
        rest = rest.dropFirst(written)
      } else if errno != EINTR {
        throw MingleError(systemCall: "cannot be written", path: path)
      }
    }
  }
}

/// The system's `write`, whose name the writer's methods hide.
private let systemWrite: @Sendable (CInt, UnsafeRawPointer?, Int) -> Int = { write($0, $1, $2) }
