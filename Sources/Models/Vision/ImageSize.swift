import Torch

/// Height and width in pixels; written as `96` (square) or `96x160` (height x width).
public struct ImageSize: Hashable, Sendable {
  public var height: Int
  public var width: Int

  public init(_ height: Int, _ width: Int) {
    self.height = height
    self.width = width
  }

  public init(_ side: Int) { self.init(side, side) }

  /// Reads `96` or `96x160`.
  ///
  /// - Throws: `MingleError` for anything else than one or two positive numbers.
  public init(parsing text: String) throws {
    let sides = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard let height = sides.first ?? nil, let width = sides.last ?? nil, sides.count <= 2,
      height > 0, width > 0, height <= 1 << 20, width <= 1 << 20
    else {
      throw MingleError(
        .usage, "not a size in pixels", expected: "96 or 96x160 (height x width)", got: "'\(text)'")
    }
    self.init(height, width)
  }
}

extension ImageSize: ExpressibleByIntegerLiteral {
  public init(integerLiteral side: Int) { self.init(side) }
}

extension ImageSize: CustomStringConvertible {
  public var description: String { height == width ? "\(height)" : "\(height)x\(width)" }
}

/// A square size is a JSON number, any other a string.
extension ImageSize: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let side = try? container.decode(Int.self) {
      try self.init(parsing: String(side))
    } else {
      try self.init(parsing: container.decode(String.self))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if height == width { try container.encode(height) } else { try container.encode(description) }
  }
}
