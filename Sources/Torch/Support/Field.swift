/// A named field of a value that is saved as text, such as a recipe: how it is read and written.
///
/// A type lists its fields once; what is not there when it is read keeps its default:
///
/// ```swift
/// static var fields: [Field<Self>] { [Field("epochs", \.epochs), Field("clip", \.clip)] }
///
/// init(from decoder: any Decoder) throws {
///   self.init()
///   try Self.fields.read(into: &self, from: decoder)
/// }
/// func encode(to encoder: any Encoder) throws { try Self.fields.write(self, to: encoder) }
/// ```
package struct Field<Root> {
  /// The key in the text.
  package let name: String
  fileprivate let read: (KeyedDecodingContainer<FieldKey>, FieldKey, inout Root) throws -> Void
  fileprivate let write: (Root, FieldKey, inout KeyedEncodingContainer<FieldKey>) throws -> Void

  /// A field with a value; null leaves the default.
  package init<Value: Codable>(_ name: String, _ path: WritableKeyPath<Root, Value>) {
    self.name = name
    read = { container, key, root in
      if let value = try container.decodeIfPresent(Value.self, forKey: key) {
        root[keyPath: path] = value
      }
    }
    write = { root, key, container in try container.encode(root[keyPath: path], forKey: key) }
  }

  /// A field that may have no value, which is null.
  package init<Value: Codable>(_ name: String, _ path: WritableKeyPath<Root, Value?>) {
    self.name = name
    read = { container, key, root in
      guard container.contains(key) else { return }
      root[keyPath: path] = try container.decodeIfPresent(Value.self, forKey: key)
    }
    write = { root, key, container in try container.encode(root[keyPath: path], forKey: key) }
  }
}

extension Array {
  /// Puts the fields that are there into `root`.
  package func read<Root>(
    into root: inout Root, from decoder: any Decoder
  ) throws where Element == Field<Root> {
    let container = try decoder.container(keyedBy: FieldKey.self)
    for field in self { try field.read(container, FieldKey(stringValue: field.name), &root) }
  }

  /// Writes all fields, in the list's order.
  package func write<Root>(
    _ root: Root, to encoder: any Encoder
  ) throws where Element == Field<Root> {
    var container = encoder.container(keyedBy: FieldKey.self)
    for field in self { try field.write(root, FieldKey(stringValue: field.name), &container) }
  }
}

/// A key that is known by its name alone.
package struct FieldKey: CodingKey {
  package let stringValue: String
  package var intValue: Int? { nil }

  package init(stringValue: String) { self.stringValue = stringValue }
  package init?(intValue: Int) { nil }
}
