import Mingle

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// The lines of standard input.
struct StandardInput {
  /// How many lines were read.
  private(set) var lines = 0
  /// Lines with bytes that are no UTF-8; these became U+FFFD.
  private(set) var invalidLines = 0
  private var bytes: [UInt8] = []
  /// What of `bytes` was not read yet, and from where on no line's end was looked for.
  private var start = 0, searched = 0
  private var isAtEnd = false

  /// The next line without its end (a line feed, maybe after a carriage return); nil after the last.
  ///
  /// - Throws: `MingleError` when the input cannot be read (a folder, say).
  mutating func readLine() throws -> String? {
    while true {
      if let end = bytes[searched...].firstIndex(of: 0x0A) {
        defer { (start, searched) = (end + 1, end + 1) }
        return text(start..<end)
      }
      searched = bytes.count
      if isAtEnd {
        guard start < bytes.count else { return nil }
        defer { start = bytes.count }
        return text(start..<bytes.count)
      }
      try fill()
    }
  }

  private mutating func text(_ range: Range<Int>) -> String {
    lines += 1
    var line = bytes[range]
    if line.last == 0x0D { line.removeLast() }
    if let text = String(validating: line, as: UTF8.self) { return text }
    invalidLines += 1
    return String(decoding: line, as: UTF8.self)
  }

  private mutating func fill() throws {
    bytes.removeFirst(start)
    (start, searched) = (0, bytes.count)
    let block = 1 << 16
    var failure: Int32 = 0
    let old = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: block))
    let count = bytes.withUnsafeMutableBytes { bytes in
      while true {
        let count = read(STDIN_FILENO, bytes.baseAddress?.advanced(by: old), block)
        if count >= 0 { return count }
        guard errno == EINTR else {
          failure = errno
          return 0
        }
      }
    }
    bytes.removeLast(block - count)
    isAtEnd = count == 0
    guard failure == 0 else {
      throw MingleError(
        .failed, "standard input cannot be read (\(String(cString: strerror(failure))))")
    }
  }
}
