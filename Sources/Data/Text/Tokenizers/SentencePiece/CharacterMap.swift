import Torch

/// SentencePiece's precompiled character map: which byte strings of a text become which others.
///
/// The bytes are the length of a trie (4 bytes), the trie as a double array of Darts-clone (32-bit
/// units), and the replacements, each ended by a NUL; the trie's values are offsets into these.
struct CharacterMap: Sendable {
  private let units: [UInt32]
  /// Ends with a NUL.
  private let replacements: [UInt8]

  /// - Throws: ``MingleError`` (`badData`) when the parts do not fit the bytes.
  init(_ bytes: [UInt8], place: String) throws {
    let size = bytes.withUnsafeBytes { bytes in
      bytes.count > 4
        ? Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt32.self))) : 0
    }
    guard size >= 4, size < bytes.count, size + 4 <= bytes.count else {
      throw MingleError(
        .badData, "the model's character map is damaged", in: place,
        next: "copy or download the file again")
    }
    units = bytes.withUnsafeBytes { bytes in
      (0..<size / 4).map {
        UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 + 4 * $0, as: UInt32.self))
      }
    }
    replacements = bytes[(4 + size)...] + [0]
  }

  /// The longest mapped string that begins at `start`: its length, and its replacement, which lies in the
  /// memory that ``withReplacements(_:)`` shows. Nil when none does.
  @inline(__always)
  func longestMatch(
    in text: UnsafeBufferPointer<UInt8>, at start: Int
  ) -> (length: Int, replacement: Int)? {
    units.withUnsafeBufferPointer { units in
      var unit = units[0]
      var position = Self.offset(unit)
      var found: (length: Int, replacement: Int)?
      for index in start..<text.count {
        let byte = UInt32(text[index])
        position ^= Int(byte)
        guard position < units.count else { return found }
        unit = units[position]
        guard unit & 0x8000_00FF == byte else { return found }
        position ^= Self.offset(unit)
        guard position < units.count else { return found }
        if unit >> 8 & 1 == 1 {
          found = (index + 1 - start, Int(units[position] & 0x7FFF_FFFF))
        }
      }
      return found
    }
  }

  /// Where a unit's children are, relative to it.
  @inline(__always)
  private static func offset(_ unit: UInt32) -> Int {
    Int(unit >> 10) << Int((unit & 1 << 9) >> 6)
  }

  func withReplacements<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
    replacements.withUnsafeBufferPointer(body)
  }
}
