import Torch

/// Reads JSON (RFC 8259) in memory.
///
/// What Python's `json` writes is read: half surrogate pairs, which are no Unicode, become U+FFFD,
/// one scalar as in Python, so that offsets counted in characters stay right. A repeated key keeps its
/// last value. Nesting is limited, so that no text exhausts the stack.
struct JSONParser {
  /// The deepest nesting of lists and objects.
  static let depthLimit = 100

  private let bytes: UnsafeRawBufferPointer
  private let place: String
  private var position = 0
  /// How many texts held invalid UTF-8 or half a surrogate pair, and were repaired.
  private(set) var repairedTexts = 0

  /// - Parameter place: The file, and maybe line, for messages.
  init(_ bytes: UnsafeRawBufferPointer, in place: String) {
    self.bytes = bytes
    self.place = place
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
  }

  /// The text's only value.
  ///
  /// - Throws: `MingleError` (`badData`) with the byte at which it is not JSON.
  mutating func parse() throws -> JSONValue {
    let value = try value(depth: 0)
    skipSpace()
    guard position == bytes.count else { throw failure("more after the end of the value") }
    return value
  }

  private mutating func value(depth: Int) throws -> JSONValue {
    skipSpace()
    guard position < bytes.count else { throw failure("an early end") }
    guard depth < Self.depthLimit else {
      throw failure("more than \(Self.depthLimit) nested lists and objects")
    }
    switch bytes[position] {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try list(depth: depth)
    case UInt8(ascii: "\""): return .text(try string())
    case UInt8(ascii: "t"): return try word("true", .boolean(true))
    case UInt8(ascii: "f"): return try word("false", .boolean(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return .number(try number())
    }
  }

  private mutating func object(depth: Int) throws -> JSONValue {
    var members: [String: JSONValue] = [:]
    position += 1
    if skip(UInt8(ascii: "}")) { return .object(members) }
    repeat {
      skipSpace()
      guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else {
        throw failure("no key")
      }
      let key = try string()
      guard skip(UInt8(ascii: ":")) else { throw failure("no ':' after a key") }
      members[key] = try value(depth: depth + 1)
    } while skip(UInt8(ascii: ","))
    guard skip(UInt8(ascii: "}")) else { throw failure("an object that is not closed") }
    return .object(members)
  }

  private mutating func list(depth: Int) throws -> JSONValue {
    var elements: [JSONValue] = []
    position += 1
    if skip(UInt8(ascii: "]")) { return .list(elements) }
    repeat { elements.append(try value(depth: depth + 1)) } while skip(UInt8(ascii: ","))
    guard skip(UInt8(ascii: "]")) else { throw failure("a list that is not closed") }
    return .list(elements)
  }

  private mutating func word(_ word: StaticString, _ value: JSONValue) throws -> JSONValue {
    let count = word.utf8CodeUnitCount
    let isThere = word.withUTF8Buffer { bytes[position...].starts(with: $0) }
    guard isThere else { throw failure("an unknown word") }
    position += count
    return value
  }

  private mutating func number() throws -> String {
    let start = position
    if isNext(UInt8(ascii: "-")) { position += 1 }
    let firstDigit = position
    guard skipDigits() else { throw failure("no value") }
    guard position == firstDigit + 1 || bytes[firstDigit] != UInt8(ascii: "0") else {
      throw failure("a number that begins with 0")
    }
    if isNext(UInt8(ascii: ".")) {
      position += 1
      guard skipDigits() else { throw failure("no digit after the point") }
    }
    if isNext(UInt8(ascii: "e")) || isNext(UInt8(ascii: "E")) {
      position += 1
      if isNext(UInt8(ascii: "+")) || isNext(UInt8(ascii: "-")) { position += 1 }
      guard skipDigits() else { throw failure("no digit in the exponent") }
    }
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  private mutating func skipDigits() -> Bool {
    let start = position
    while position < bytes.count, (0x30...0x39).contains(bytes[position]) { position += 1 }
    return position > start
  }

  private func isNext(_ byte: UInt8) -> Bool {
    position < bytes.count && bytes[position] == byte
  }

  /// Goes over `wanted`, and white space before it, if it comes next.
  private mutating func skip(_ wanted: UInt8) -> Bool {
    skipSpace()
    guard isNext(wanted) else { return false }
    position += 1
    return true
  }

  private mutating func skipSpace() {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x09, 0x0A, 0x0D: position += 1
      default: return
      }
    }
  }

  private func failure(_ what: String) -> MingleError {
    MingleError(
      .badData, "not JSON: \(what) at byte \(position + 1)", in: place,
      next: "mend or remove it, or copy the file again")
  }
}

// MARK: Texts

extension JSONParser {
  private mutating func string() throws -> String {
    position += 1
    let start = position
    try skipPlainBytes()
    if bytes[position] == UInt8(ascii: "\"") {
      defer { position += 1 }
      return decoded(UnsafeRawBufferPointer(rebasing: bytes[start..<position]))
    }
    var text = Array(bytes[start..<position])
    var hasHalfPair = false
    while bytes[position] != UInt8(ascii: "\"") {
      position += 1
      try appendEscape(to: &text, &hasHalfPair)
      let start = position
      try skipPlainBytes()
      text.append(contentsOf: bytes[start..<position])
    }
    position += 1
    if hasHalfPair { repairedTexts += 1 }
    return text.withUnsafeBytes { decoded($0) }
  }

  /// Goes to the next quotation mark or backslash.
  private mutating func skipPlainBytes() throws {
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { return }
      guard byte >= 0x20 else { throw failure("a control character in a text") }
      position += 1
    }
    throw failure("a text that is not closed")
  }

  private mutating func decoded(_ bytes: UnsafeRawBufferPointer) -> String {
    let (text, isValid) = String.repairing(bytes)
    if !isValid { repairedTexts += 1 }
    return text
  }

  private mutating func appendEscape(to text: inout [UInt8], _ hasHalfPair: inout Bool) throws {
    guard position < bytes.count else { throw failure("an early end") }
    let byte = bytes[position]
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"):
      let scalar = try escapedScalar()
      if scalar == nil { hasHalfPair = true }
      text.append(contentsOf: String(Character(scalar ?? "\u{FFFD}")).utf8)
    default: throw failure("an unknown escape")
    }
  }

  /// The scalar after `\u`; nil for half a surrogate pair.
  private mutating func escapedScalar() throws -> Unicode.Scalar? {
    let unit = try codeUnit()
    guard UTF16.isLeadSurrogate(unit) else { return Unicode.Scalar(unit) }
    guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
      bytes[position + 1] == UInt8(ascii: "u")
    else { return nil }
    let start = position
    position += 2
    let trail = try codeUnit()
    guard UTF16.isTrailSurrogate(trail) else {
      // It may be a character, or another pair's first half.
      position = start
      return nil
    }
    return Unicode.Scalar(0x10000 + (UInt32(unit) & 0x3FF) << 10 + UInt32(trail) & 0x3FF)
  }

  /// Reads four hexadecimal digits.
  private mutating func codeUnit() throws -> UInt16 {
    var value: UInt16 = 0
    for _ in 0..<4 {
      guard position < bytes.count,
        let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue
      else { throw failure("a wrong hexadecimal digit") }
      position += 1
      value = value << 4 | UInt16(digit)
    }
    return value
  }
}
