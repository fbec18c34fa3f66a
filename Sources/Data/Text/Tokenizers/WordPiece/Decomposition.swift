import Foundation

/// Canonical decomposition (NFD) of single characters, as of Unicode 9: what the PyPI package
/// `tokenizers` 0.23 knows.
struct Decomposition: Sendable {
  static let shared = Decomposition()
  private static let unicodeVersion = 9

  /// All characters that come apart, but for the Hangul syllables.
  private let table: [UInt32: [Unicode.Scalar]]

  private init() {
    // The blocks that hold such characters; looking at all others would take a second.
    let blocks: [ClosedRange<UInt32>] = [
      0xC0...0x33FF, 0xF900...0xFB4F, 0x11000...0x119FF, 0x1D100...0x1D1FF, 0x2F800...0x2FA1F,
    ]
    var table: [UInt32: [Unicode.Scalar]] = [:]
    for value in blocks.joined() {
      guard let scalar = Unicode.Scalar(value), let age = scalar.properties.age,
        age.major <= Self.unicodeVersion
      else { continue }
      let parts = String(scalar).decomposedStringWithCanonicalMapping.unicodeScalars
      if parts.count != 1 || parts.first != scalar { table[value] = Array(parts) }
    }
    self.table = table
  }

  /// Calls `body` with each part of `scalar` in order.
  @inline(__always)
  func forEachPart(of scalar: Unicode.Scalar, _ body: (Unicode.Scalar) -> Void) {
    let value = scalar.value
    if value < 0xC0 || (value >= 0x3400 && value < 0xF900 && (value < 0xAC00 || value > 0xD7A3)) {
      body(scalar)
    } else if value >= 0xAC00 && value <= 0xD7A3 {
      // The syllables follow a rule (The Unicode Standard, 3.12).
      let index = value - 0xAC00
      let trailing = index % 28
      for part in [0x1100 + index / 588, 0x1161 + index % 588 / 28] {
        if let part = Unicode.Scalar(part) { body(part) }
      }
      if trailing > 0, let part = Unicode.Scalar(0x11A7 + trailing) { body(part) }
    } else if let parts = table[value] {
      for part in parts { body(part) }
    } else {
      body(scalar)
    }
  }

  /// The class by which marks after a letter are put in order; 0 for characters that stay in place.
  static func combiningClass(of scalar: Unicode.Scalar) -> UInt8 {
    guard scalar.value >= 0x300 else { return 0 }
    let order = scalar.properties.canonicalCombiningClass.rawValue
    guard order != 0, let age = scalar.properties.age, age.major <= unicodeVersion else { return 0 }
    return order
  }
}
