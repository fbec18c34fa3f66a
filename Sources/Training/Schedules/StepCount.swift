import Torch

/// A number of steps, or a share of all steps of the run; written as `500` or `0.05`.
///
/// A value below 1 is a share, any other a whole number of steps.
public struct StepCount: Hashable, Sendable {
  private let value: Double

  public static let zero = StepCount(value: 0)

  /// `count` steps, at least 0.
  public static func steps(_ count: Int) -> StepCount {
    precondition(count >= 0, "\(count) steps")
    return StepCount(value: Double(count))
  }

  /// The share `value` of the run, from 0 up to 1.
  public static func share(_ value: Double) -> StepCount {
    precondition(0 <= value && value < 1, "\(value) of the run")
    return StepCount(value: value)
  }

  /// - Throws: `MingleError` unless `value` is from 0 up to 1, or whole.
  public init(validating value: Double) throws {
    guard value >= 0, value <= 1e15, value < 1 || value == value.rounded() else {
      throw MingleError(
        .usage, "not a number of steps", expected: "steps such as 500, or a share such as 0.05",
        got: "\(value)")
    }
    self.init(value: value)
  }

  /// Reads `500` or `0.05`.
  ///
  /// - Throws: `MingleError` for anything else.
  public init(parsing text: String) throws {
    try self.init(validating: Double(text) ?? -.infinity)
  }

  private init(value: Double) { self.value = value }

  /// The number of steps in a run of `total`; a share is rounded.
  public func count(of total: Int) -> Int {
    Int(value < 1 ? (value * Double(total)).rounded() : value)
  }
}

extension StepCount: CustomStringConvertible {
  public var description: String { value < 1 && value > 0 ? "\(value)" : "\(Int(value))" }
}

extension StepCount: Codable {
  public init(from decoder: any Decoder) throws {
    try self.init(validating: decoder.singleValueContainer().decode(Double.self))
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if value < 1 && value > 0 {
      try container.encode(value)
    } else {
      try container.encode(Int(value))
    }
  }
}
