import Torch

/// Reads the part of JSON that headers are made of: objects, strings, whole numbers, lists of them.
///
/// Stricter than general parsers where a header must be: a repeated key, a fraction, a number beyond
/// `Int` or text that is not UTF-8 is an error. It keeps no tree and does not recurse.
struct JSONScanner {
  private let bytes: [UInt8]
  private let path: String
  private var position = 0

  /// - Parameter path: The file's name for messages.
  init(_ bytes: [UInt8], path: String) {
    self.bytes = bytes
    self.path = path
  }

  /// Reads `{"key": value, ...}`; `readValue` must read the value of the key that it gets.
  mutating func object(
    _ readValue: (_ scanner: inout JSONScanner, _ key: String) throws -> Void
  ) throws {
    var keys: Set<String> = []
    try sequence(from: "{", to: "}") { scanner in
      let key = try scanner.string()
      guard keys.insert(key).inserted else { throw scanner.failure("the key '\(key)' twice") }
      try scanner.expect(":")
      try readValue(&scanner, key)
    }
  }

  /// Reads `[1, 2, ...]`.
  mutating func integers(atMost limit: Int) throws -> [Int] {
    var result: [Int] = []
    try sequence(from: "[", to: "]") { scanner in
      guard result.count < limit else { throw scanner.failure("more than \(limit) numbers") }
      result.append(try scanner.integer())
    }
    return result
  }

  /// Reads a number of digits only.
  mutating func integer() throws -> Int {
    skipSpace()
    let digits = bytes[position...].prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    let isPlain = digits.count == 1 || digits.first != UInt8(ascii: "0")
    guard isPlain, let value = Int(String(decoding: digits, as: UTF8.self)) else {
      throw failure("something else than a whole number")
    }
    position += digits.count
    return value
  }

  mutating func string() throws -> String {
    try expect("\"")
    var text: [UInt8] = []
    while true {
      let byte = try next()
      switch byte {
      case UInt8(ascii: "\""):
        guard let string = String(validating: text, as: UTF8.self) else {
          throw failure("text that is not UTF-8")
        }
        return string
      case UInt8(ascii: "\\"): try escape(into: &text)
      case 0..<0x20: throw failure("a control character in a text")
      default: text.append(byte)
      }
    }
  }

  /// Nothing but white space may follow.
  mutating func end() throws {
    skipSpace()
    guard position == bytes.count else { throw failure("more after its end") }
  }

  /// A header with `what` in it, at the place just read.
  func failure(_ what: String) -> MingleError {
    MingleError(
      .badData, "the header has \(what) at byte \(position)", in: path, next: damagedFileAdvice)
  }

  private mutating func sequence(
    from open: Unicode.Scalar, to close: Unicode.Scalar,
    _ readElement: (inout JSONScanner) throws -> Void
  ) throws {
    try expect(open)
    if skip(close) { return }
    repeat { try readElement(&self) } while skip(",")
    try expect(close)
  }

  /// Reads what follows a backslash.
  private mutating func escape(into text: inout [UInt8]) throws {
    switch try next() {
    case UInt8(ascii: "\""): text.append(UInt8(ascii: "\""))
    case UInt8(ascii: "\\"): text.append(UInt8(ascii: "\\"))
    case UInt8(ascii: "/"): text.append(UInt8(ascii: "/"))
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0c)
    case UInt8(ascii: "n"): text.append(0x0a)
    case UInt8(ascii: "r"): text.append(0x0d)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"):
      var units = [try codeUnit()]
      if UTF16.isLeadSurrogate(units[0]) {
        guard try next() == UInt8(ascii: "\\"), try next() == UInt8(ascii: "u") else {
          throw failure("half a character")
        }
        units.append(try codeUnit())
      }
      guard let character = String(validating: units, as: UTF16.self) else {
        throw failure("half a character")
      }
      text.append(contentsOf: character.utf8)
    default: throw failure("an unknown escape")
    }
  }

  /// Reads four hexadecimal digits.
  private mutating func codeUnit() throws -> UInt16 {
    var value: UInt16 = 0
    for _ in 0..<4 {
      guard let digit = Character(Unicode.Scalar(try next())).hexDigitValue else {
        throw failure("a wrong hexadecimal digit")
      }
      value = value << 4 | UInt16(digit)
    }
    return value
  }

  private mutating func next() throws -> UInt8 {
    guard position < bytes.count else { throw failure("an early end") }
    defer { position += 1 }
    return bytes[position]
  }

  private mutating func expect(_ wanted: Unicode.Scalar) throws {
    guard skip(wanted) else {
      throw failure(position < bytes.count ? "no '\(wanted)'" : "an early end")
    }
  }

  /// Goes over `wanted`, and white space before it, if it comes next.
  private mutating func skip(_ wanted: Unicode.Scalar) -> Bool {
    skipSpace()
    guard position < bytes.count, bytes[position] == UInt8(ascii: wanted) else { return false }
    position += 1
    return true
  }

  private mutating func skipSpace() {
    while position < bytes.count, [0x20, 0x09, 0x0a, 0x0d].contains(bytes[position]) {
      position += 1
    }
  }
}
