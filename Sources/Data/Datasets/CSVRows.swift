import Torch

/// The rows of a comma-, tab- or semicolon-separated text in memory; fields may be quoted (RFC 4180). A quotation
/// mark counts only where it begins a field or in a field that one began.
///
/// Reads bytes, not characters: a set of pixels has a hundred million of them.
struct CSVRows: Sequence, IteratorProtocol {
  private let bytes: UnsafeRawBufferPointer
  private let separator: UInt8
  private let hasQuotes: Bool
  private var offset = 0
  /// The line, counted from 1, on which the last row began.
  private(set) var line = 0
  private var nextLine = 1
  /// Whether the last row ended with the text, inside quotes.
  private(set) var isUnclosed = false

  /// - Parameters:
  ///   - separator: nil for what the first line has: a comma, else a tab, else a semicolon.
  ///   - hasQuotes: false where quotation marks are part of the fields (GLUE's tables).
  init(_ bytes: UnsafeRawBufferPointer, separator: UInt8? = nil, hasQuotes: Bool = true) {
    self.bytes = bytes
    self.hasQuotes = hasQuotes
    // A byte order mark is no part of the first field.
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { offset = 3 }
    let firstLine = bytes.prefix { $0 != newline }
    self.separator = separator ?? Self.separator(in: firstLine)
  }

  private static func separator(in firstLine: Slice<UnsafeRawBufferPointer>) -> UInt8 {
    [comma, tab, semicolon].first(where: firstLine.contains) ?? comma
  }

  /// The fields of the next row that is not empty; quotes are still in them.
  mutating func next() -> [Slice<UnsafeRawBufferPointer>]? {
    var fields: [Slice<UnsafeRawBufferPointer>] = []
    while next(into: &fields) {
      if fields.count > 1 || !(fields.first?.isEmpty ?? true) { return fields }
    }
    return nil
  }

  /// As `next()`, but reuses the array's memory; false at the end.
  mutating func next(into fields: inout [Slice<UnsafeRawBufferPointer>]) -> Bool {
    fields.removeAll(keepingCapacity: true)
    guard offset < bytes.count else { return false }
    line = nextLine
    var start = offset
    var isQuoted = false
    while offset < bytes.count {
      let byte = bytes[offset]
      if byte == quote, hasQuotes, isQuoted || beginsWithQuote(start...offset) {
        isQuoted.toggle()
      }
      if byte == newline { nextLine += 1 }
      if !isQuoted && (byte == separator || byte == newline) {
        append(start..<offset, to: &fields)
        offset += 1
        start = offset
        if byte == newline { return true }
      } else {
        offset += 1
      }
    }
    append(start..<offset, to: &fields)
    isUnclosed = isQuoted
    return true
  }

  /// Whether the first byte of a field that is no space is a quotation mark.
  private func beginsWithQuote(_ field: ClosedRange<Int>) -> Bool {
    bytes[field].first { $0 != space } == quote
  }

  private func append(_ range: Range<Int>, to fields: inout [Slice<UnsafeRawBufferPointer>]) {
    var field = bytes[range]
    while let last = field.last, last == carriageReturn || last == space { field.removeLast() }
    while let first = field.first, first == space { field.removeFirst() }
    fields.append(field)
  }
}

private let semicolon = UInt8(ascii: ";")
private let comma = UInt8(ascii: ","), tab = UInt8(ascii: "\t"), quote = UInt8(ascii: "\"")
private let newline = UInt8(ascii: "\n"), carriageReturn = UInt8(ascii: "\r")
private let space = UInt8(ascii: " ")

extension Slice<UnsafeRawBufferPointer> {
  /// The field's text without its quotes.
  var text: String {
    guard count >= 2, first == quote, last == quote else {
      return String(decoding: self, as: UTF8.self)
    }
    return String(decoding: dropFirst().dropLast(), as: UTF8.self)
      .split(separator: "\"\"", omittingEmptySubsequences: false).joined(separator: "\"")
  }

  /// The field as a finite number; nil when it is none.
  var number: Double? {
    // Almost all are one to three digits.
    if count > 0, count <= 3 {
      var value = 0
      for byte in self {
        let digit = Int(byte) - Int(UInt8(ascii: "0"))
        guard (0...9).contains(digit) else { return slowNumber }
        value = 10 * value + digit
      }
      return Double(value)
    }
    return slowNumber
  }

  private var slowNumber: Double? {
    guard count <= 64, let value = Double(text), value.isFinite else { return nil }
    return value
  }
}
