import Foundation

extension String {
  /// The text of UTF-8 bytes, each invalid sequence replaced by U+FFFD; whether there was none.
  static func repairing(_ bytes: UnsafeRawBufferPointer) -> (text: String, isValid: Bool) {
    var text = String(decoding: bytes, as: UTF8.self)
    let isValid = text.withUTF8 { utf8 in
      guard utf8.count == bytes.count else { return false }
      guard let a = utf8.baseAddress, let b = bytes.baseAddress else { return true }
      return memcmp(a, b, utf8.count) == 0
    }
    return (text, isValid)
  }
}
