import Torch

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// A file's bytes, mapped into memory: read when touched, and shared with the system's page cache.
///
/// The mapping is private and writable: a tensor that borrows it may be changed in place; such a
/// change is a copy of the touched page in this process and never reaches the file. Mingle replaces
/// files by renaming, which leaves a mapping of the old file whole; a file that another program
/// *shortens* while it is mapped takes its pages away, so copy such files first.
package final class MappedFile: Sendable {
  package let path: String
  /// The file's length in bytes.
  package let count: Int
  /// Where the mapping begins, as a number: Swift lets pointers not be shared; 0 for an empty file.
  private let address: UInt
  private var base: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: address) }

  /// Maps an existing file.
  ///
  /// - Throws: `MingleError` (`missingInput`) when there is no such file, (`badData`) when the path
  ///   is a folder, pipe or device, (`failed`) when it may not be read.
  package init(_ path: String) throws {
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      let code = errno
      guard code == ENOENT || code == ENOTDIR else {
        throw MingleError(systemCall: "cannot be read", path: path, code: code)
      }
      throw MingleError(.missingInput, "no such file", in: path, next: "check the path's spelling")
    }
    defer { close(descriptor) }

    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw MingleError(systemCall: "cannot be looked at", path: path)
    }
    switch PathStatus(mode: status.st_mode) {
    case .file: break
    case .folder:
      throw MingleError(
        .badData, "a folder where a file belongs", in: path, next: "name a file inside it")
    case .special, .missing:
      throw MingleError(
        .badData, "not an ordinary file", in: path, next: "copy the data into a file first")
    }

    self.path = path
    count = Int(status.st_size)
    guard count > 0 else {
      address = 0
      return
    }
    let mapping = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_PRIVATE, descriptor, 0)
    guard let mapping, mapping != MAP_FAILED else {
      throw MingleError(systemCall: "cannot be mapped into memory", path: path)
    }
    address = UInt(bitPattern: mapping)
  }

  deinit {
    if let base { munmap(base, count) }
  }

  /// All bytes; the pointer holds only inside `body`.
  package func withUnsafeBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    try withExtendedLifetime(self) {
      try body(UnsafeRawBufferPointer(start: base, count: count))
    }
  }

  /// A copy of some bytes.
  ///
  /// - Throws: `MingleError` (`badData`) when the range leaves the file.
  package func bytes(in range: Range<Int>) throws -> [UInt8] {
    guard range.lowerBound >= 0, range.upperBound <= count else {
      throw MingleError(
        .badData, "the file ends early", in: path, expected: "\(range.upperBound) bytes",
        got: "\(count)", next: "copy or download the file again")
    }
    return withUnsafeBytes { Array($0[range]) }
  }

  /// A tensor over the mapping itself; nil where its elements are not aligned. The bytes must exist.
  func borrowing(at offset: Int, shape: [Int], dtype: DType) -> Tensor? {
    guard let base, offset % dtype.byteCount == 0 else { return nil }
    return Tensor(borrowing: base + offset, shape: shape, dtype: dtype, owner: self)
  }
}
