/// A value of a JSON text. Numbers keep their spelling: a label `01` or `1e3` stays what it was.
enum JSONValue: Sendable, Hashable {
  case null
  case boolean(Bool)
  case number(String)
  case text(String)
  case list([JSONValue])
  case object([String: JSONValue])

  /// What it is, for messages.
  var kind: String {
    switch self {
    case .null: "null"
    case .boolean: "a boolean"
    case .number: "a number"
    case .text: "a text"
    case .list: "a list"
    case .object: "an object"
    }
  }

  subscript(key: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members[key]
  }

  /// A text, number or boolean as text; nil for anything else.
  var scalarText: String? {
    switch self {
    case .text(let text): text
    case .number(let number): number
    case .boolean(let value): value ? "true" : "false"
    case .null, .list, .object: nil
    }
  }
}
