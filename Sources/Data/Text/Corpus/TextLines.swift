import Foundation
import Torch

extension UnsafeRawBufferPointer {
  /// Where the text of a file begins: behind the byte order mark, if there is one.
  ///
  /// - Throws: `MingleError` (`badData`) for text in UTF-16.
  func startOfText(in path: String) throws -> Int {
    guard !starts(with: [0xFF, 0xFE]), !starts(with: [0xFE, 0xFF]) else {
      throw MingleError(
        .badData, "text in UTF-16", in: path, expected: "UTF-8",
        next: "convert it: iconv -f UTF-16 -t UTF-8")
    }
    return starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
  }

  /// The next line feed from `start` on.
  func newline(from start: Int) -> Int? {
    guard let base = baseAddress, let found = memchr(base + start, 0x0A, count - start)
    else { return nil }
    return UnsafeRawPointer(found) - base
  }

  /// Without the carriage return of a line end of Windows.
  var withoutReturn: UnsafeRawBufferPointer {
    last == 0x0D ? UnsafeRawBufferPointer(rebasing: dropLast()) : self
  }
}
