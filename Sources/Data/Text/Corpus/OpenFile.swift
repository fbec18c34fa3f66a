import Checkpoints
import Torch

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// A file that any thread reads at any place, a part at a time.
///
/// Corpora are read so instead of being mapped: a file that becomes shorter meanwhile is an error
/// then, not the end of the process.
final class OpenFile: Sendable {
  let path: String
  /// The length in bytes when the file was opened.
  let count: Int
  private let descriptor: CInt

  /// - Throws: `MingleError` (`missingInput`) when there is no such file, (`badData`) for what is
  ///   no file, (`failed`) when it may not be read.
  init(_ path: String) throws {
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw MingleError(systemCall: "cannot be read", path: path) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw MingleError(
        .badData, "not an ordinary file", in: path, next: "copy the text into a file first")
    }
    self.path = path
    self.descriptor = descriptor
    count = Int(status.st_size)
  }

  deinit { close(descriptor) }

  /// The bytes in `range`, which must lie in the file.
  ///
  /// - Throws: `MingleError` (`badData`) when the file has become shorter.
  func read(_ range: Range<Int>) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
      while count < range.count {
        let rest = buffer.baseAddress.map { UnsafeMutableRawPointer($0 + count) }
        let done = pread(
          descriptor, rest, range.count - count, off_t(range.lowerBound + count))
        if done < 0 && errno == EINTR { continue }
        guard done >= 0 else { throw MingleError(systemCall: "cannot be read", path: path) }
        guard done > 0 else {
          throw MingleError(
            .badData, "the file became shorter while it was read", in: path,
            expected: "\(self.count) bytes", got: "\(range.lowerBound + count)",
            next: "start again when nothing writes to it")
        }
        count += done
      }
    }
  }

  /// Reads the file from the beginning in parts of `size` bytes.
  func forEachPart(of size: Int, in range: Range<Int>? = nil, _ body: ([UInt8]) throws -> Void)
    throws
  {
    let range = range ?? 0..<count
    for start in stride(from: range.lowerBound, to: range.upperBound, by: size) {
      try body(try read(start..<min(start + size, range.upperBound)))
    }
  }

  /// The line, counted from 1, in which a byte stands. Reads all that comes before it.
  func line(at offset: Int) throws -> Int {
    var line = 1
    try forEachPart(of: 1 << 20, in: 0..<min(offset, count)) { part in
      line += part.count { $0 == UInt8(ascii: "\n") }
    }
    return line
  }

  /// The content's hash.
  func contentHash() throws -> UInt64 {
    var hash = ContentHash()
    try forEachPart(of: ContentHash.blockSize) { part in
      part.withUnsafeBytes { hash.add(block: $0) }
    }
    return hash.value
  }
}
