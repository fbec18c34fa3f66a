import Torch

/// Reads the Python dictionary that describes a NumPy array, and no other Python.
struct PythonScanner {
  private let text: [UInt8]
  private let path: String
  private var position = 0

  /// - Parameter path: The file's and array's name for messages.
  init(_ text: ArraySlice<UInt8>, path: String) {
    self.text = Array(text)
    self.path = path
  }

  /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, the keys in any order.
  mutating func arrayDescription() throws -> (type: String, isColumnMajor: Bool, shape: [Int]) {
    var type: String?
    var isColumnMajor: Bool?
    var shape: [Int]?
    try expect("{")
    while !skip("}") {
      let key = try string()
      try expect(":")
      switch key {
      case "descr" where type == nil:
        guard !skip("[") else {
          throw MingleError(
            .badData, "an array of records", in: path,
            next: "save each field as an array of its own")
        }
        type = try string()
      case "fortran_order" where isColumnMajor == nil: isColumnMajor = try boolean()
      case "shape" where shape == nil: shape = try tuple()
      default: throw failure("an unknown or repeated key '\(key)'")
      }
      guard skip(",") else {
        try expect("}")
        break
      }
    }
    skipSpace()
    guard position == text.count else { throw failure("more after its end") }
    guard let type, let isColumnMajor, let shape else {
      throw failure("not all of descr, fortran_order and shape")
    }
    return (type, isColumnMajor, shape)
  }

  /// Reads `()`, `(3,)` or `(2, 3)`.
  private mutating func tuple() throws -> [Int] {
    var numbers: [Int] = []
    try expect("(")
    while !skip(")") {
      guard numbers.count < 64 else { throw failure("more than 64 dimensions") }
      numbers.append(try integer())
      guard skip(",") else {
        try expect(")")
        break
      }
    }
    return numbers
  }

  private mutating func integer() throws -> Int {
    skipSpace()
    let digits = text[position...].prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    guard let value = Int(String(decoding: digits, as: UTF8.self)) else {
      throw failure("something else than a whole number")
    }
    position += digits.count
    return value
  }

  private mutating func boolean() throws -> Bool {
    if skip("True") { return true }
    if skip("False") { return false }
    throw failure("something else than True or False")
  }

  /// Reads a text without escapes, which no name or type needs.
  private mutating func string() throws -> String {
    let quote = UInt8(ascii: skip("'") ? "'" : "\"")
    if quote == UInt8(ascii: "\"") { try expect("\"") }
    let content = text[position...].prefix { $0 != quote }
    guard position + content.count < text.count, !content.contains(UInt8(ascii: "\\")),
      let string = String(validating: content, as: UTF8.self)
    else { throw failure("a damaged text") }
    position += content.count + 1
    return string
  }

  private mutating func expect(_ wanted: String) throws {
    guard skip(wanted) else { throw failure("no '\(wanted)'") }
  }

  /// Goes over `wanted`, and white space before it, if it comes next.
  private mutating func skip(_ wanted: String) -> Bool {
    skipSpace()
    guard text[position...].starts(with: wanted.utf8) else { return false }
    position += wanted.utf8.count
    return true
  }

  private mutating func skipSpace() {
    while position < text.count, text[position] == 0x20 || text[position] == 0x0a { position += 1 }
  }

  private func failure(_ what: String) -> MingleError {
    MingleError(
      .badData, "the array's header has \(what) at byte \(position)", in: path,
      next: damagedFileAdvice)
  }
}
