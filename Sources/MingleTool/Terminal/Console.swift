import Mingle

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Nobody reads standard output any more.
struct BrokenPipe: Error {}

/// Standard output for results, standard error for everything else.
enum Console {
  /// Writes `text` and a newline to standard output.
  ///
  /// - Throws: ``BrokenPipe``, or `MingleError` when the output cannot be written (a full disk).
  static func print(_ text: String) throws {
    try write(Array((text + "\n").utf8), to: STDOUT_FILENO)
  }

  /// Writes `text` as it is to standard output.
  ///
  /// - Throws: as ``print(_:)``.
  static func write(_ text: String) throws {
    try write(Array(text.utf8), to: STDOUT_FILENO)
  }

  /// Writes a line for people to standard error. Control characters, which a file's name or a damaged
  /// file may have brought, are shown as replacement characters: a terminal would obey them.
  static func note(_ text: String) {
    let isControl = { (scalar: Unicode.Scalar) in scalar.properties.generalCategory == .control }
    let shown = text.unicodeScalars.map { isControl($0) ? "\u{fffd}" : $0 }
    noteRaw(String(String.UnicodeScalarView(shown)) + "\n")
  }

  /// Writes text as it is, without a newline, to standard error.
  static func noteRaw(_ text: String) {
    try? write(Array(text.utf8), to: STDERR_FILENO)
  }

  /// Writes what stopped the program, as one line.
  static func error(_ message: String) {
    let line = message.split(whereSeparator: \.isNewline).joined(separator: " ")
    note("mingle: error: \(line)")
  }

  /// Whether a person watches standard error.
  static var isInteractive: Bool { isatty(STDERR_FILENO) == 1 }

  /// Columns of the terminal on standard error; 80 where there is none.
  static var width: Int {
    var size = winsize()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 10 else { return 80 }
    return Int(size.ws_col)
  }

  private static func write(_ bytes: [UInt8], to descriptor: Int32) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { systemWrite(descriptor, $0.baseAddress, $0.count) }
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if errno == EPIPE {
        throw BrokenPipe()
      } else if errno != EINTR && errno != EAGAIN {
        throw MingleError(
          .failed, "standard output cannot be written (\(String(cString: strerror(errno))))")
      }
    }
  }
}

/// The system's `write`, whose name the console's methods hide.
private let systemWrite: @Sendable (Int32, UnsafeRawPointer?, Int) -> Int = { write($0, $1, $2) }
