import Torch

/// A JSON value that knows where it stands, so that an error can say what is missing where:
/// `data[3].paragraphs[0]`.
struct JSONPlace {
  let value: JSONValue
  private let file: String
  private let trail: String

  init(_ value: JSONValue, path: String) {
    self.init(value, file: path, trail: "")
  }

  private init(_ value: JSONValue, file: String, trail: String) {
    self.value = value
    self.file = file
    self.trail = trail
  }

  /// Whether an object has a field that is not null.
  func has(_ key: String) -> Bool { value[key].map { $0 != .null } ?? false }

  func list(_ key: String) throws -> [JSONPlace] {
    let field = try member(key)
    guard case .list(let elements) = field.value else { throw field.wrong("a list") }
    return elements.enumerated().map { index, element in
      JSONPlace(element, file: file, trail: "\(field.trail)[\(index)]")
    }
  }

  func text(_ key: String) throws -> String {
    let field = try member(key)
    guard case .text(let text) = field.value else { throw field.wrong("a text") }
    return text
  }

  func integer(_ key: String) throws -> Int {
    let field = try member(key)
    guard case .number(let number) = field.value, let value = Int(number) else {
      throw field.wrong("a whole number")
    }
    return value
  }

  /// Nil where there is none.
  func boolean(_ key: String) throws -> Bool? {
    guard has(key) else { return nil }
    let field = try member(key)
    guard case .boolean(let value) = field.value else { throw field.wrong("true or false") }
    return value
  }

  /// An error about this value.
  func failure(_ what: String) -> MingleError {
    MingleError(.badData, what, in: trail.isEmpty ? file : "\(file), \(trail)")
  }

  private func member(_ key: String) throws -> JSONPlace {
    guard case .object(let members) = value else { throw wrong("an object") }
    guard let member = members[key] else {
      throw MingleError(
        .badData, "no '\(key)'", in: trail.isEmpty ? file : "\(file), \(trail)",
        expected: "a field '\(key)'", got: value.fieldNames)
    }
    return JSONPlace(member, file: file, trail: trail.isEmpty ? key : "\(trail).\(key)")
  }

  private func wrong(_ expected: String) -> MingleError {
    MingleError(
      .badData, "a value of a wrong kind", in: trail.isEmpty ? file : "\(file), \(trail)",
      expected: expected, got: value.kind)
  }
}
