import Torch

// Fields of configurations whose networks have several stages.

/// One number for all stages or one for each; written as `3` or `3,3,4,3`.
public struct PerStage: Hashable, Sendable {
  /// One, or as many as stages.
  public var values: [Double]

  public init(_ values: [Double]) { self.values = values }

  /// The number of `stage`.
  public subscript(stage: Int) -> Double { values.count == 1 ? values[0] : values[stage] }
}

extension PerStage: ExpressibleByFloatLiteral, ExpressibleByArrayLiteral {
  public init(floatLiteral value: Double) { self.init([value]) }
  public init(arrayLiteral values: Double...) { self.init(values) }
}

extension PerStage: CustomStringConvertible {
  public var description: String { values.map { "\($0)" }.joined(separator: ",") }
}

/// One number is a JSON number, several are a string.
extension PerStage: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let value = try? container.decode(Double.self) {
      self.init([value])
      return
    }
    let text = try container.decode(String.self)
    let values = text.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
    guard values.allSatisfy({ $0?.isFinite == true }) else {
      throw MingleError(
        .usage, "not a number for each stage", expected: "3 or 3,3,4,3", got: "'\(text)'")
    }
    self.init(values.compactMap { $0 })
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if values.count == 1 {
      try container.encode(values[0])
    } else {
      try container.encode(description)
    }
  }
}

/// An optional field that JSON shows as null where it has no value, so that it can be set by name.
@propertyWrapper
public struct NullableField<Value: Codable & Hashable & Sendable>: Codable, Hashable, Sendable {
  public var wrappedValue: Value?

  public init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    wrappedValue = container.decodeNil() ? nil : try container.decode(Value.self)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let wrappedValue {
      try container.encode(wrappedValue)
    } else {
      try container.encodeNil()
    }
  }
}

/// - Throws: `MingleError` unless the list `field` has a value for each of `stages`, all in `range`.
func requireList<Value: Comparable>(
  _ field: String, _ values: [Value], stages: Int, in range: ClosedRange<Value>
) throws {
  try requireLength(field, values, stages: stages)
  for value in values { try requireField(field, value, in: range) }
}

/// - Throws: `MingleError` unless the list `field` has a value for each of `stages`.
func requireLength<Value>(_ field: String, _ values: [Value], stages: Int) throws {
  guard values.count == stages else {
    throw MingleError(
      .usage, "\(field) needs one value for each stage", expected: "\(stages)",
      got: "\(values.count)",
      next: field == "depths" ? nil : "give as many as depths has")
  }
}
