/// A text as SentencePiece looks at it, and where each byte comes from.
struct NormalizedText {
  var bytes: [UInt8] = []
  /// For each byte the offset in the original of the character that it belongs to; one more at the end.
  var origins: [Int] = []

  @inline(__always)
  mutating func append(_ byte: UInt8, from origin: Int) {
    bytes.append(byte)
    origins.append(origin)
  }

  @inline(__always)
  mutating func appendSpace(escaped: Bool, from origin: Int) {
    if escaped {
      append(0xE2, from: origin)
      append(0x96, from: origin)
      append(0x81, from: origin)
    } else {
      append(0x20, from: origin)
    }
  }
}

/// SentencePiece's preparation of a text: characters are mapped (usually NFKC), runs of spaces become
/// one, spaces at the ends go, a space is put before the first word, and spaces become `▁` (U+2581).
struct TextNormalizer: Sendable {
  private let settings: SentencePieceModel.Normalization
  private let spaceIsSuffix: Bool
  private let map: CharacterMap?
  /// Symbols that stay as they are.
  private let symbols: Trie?

  init(
    _ settings: SentencePieceModel.Normalization, spaceIsSuffix: Bool, symbols: Trie?, place: String
  ) throws {
    self.settings = settings
    self.spaceIsSuffix = spaceIsSuffix
    self.symbols = symbols
    map = settings.map.isEmpty ? nil : try CharacterMap(settings.map, place: place)
  }

  /// The next stretch of a text: what it becomes, and how many bytes it takes.
  private struct Step {
    let output: UnsafeBufferPointer<UInt8>.SubSequence
    let consumed: Int
  }

  func normalize(_ text: UnsafeBufferPointer<UInt8>) -> NormalizedText {
    guard let map else { return normalize(text, UnsafeBufferPointer(start: nil, count: 0)) }
    return map.withReplacements { normalize(text, $0) }
  }

  private func normalize(
    _ text: UnsafeBufferPointer<UInt8>, _ replacements: UnsafeBufferPointer<UInt8>
  ) -> NormalizedText {
    var result = NormalizedText()
    let removes = settings.removesExtraSpaces, escapes = settings.escapesSpaces
    var offset = 0
    while removes, offset < text.count {
      let step = step(in: text, at: offset, replacements)
      guard step.output.count == 1, step.output.first == 0x20 else { break }
      offset += step.consumed
    }
    guard offset < text.count else { return result }
    result.bytes.reserveCapacity(text.count + text.count / 2)
    result.origins.reserveCapacity(text.count + text.count / 2)

    if !spaceIsSuffix && settings.addsDummyPrefix {
      result.appendSpace(escaped: escapes, from: offset)
    }
    var isAfterSpace = removes
    while offset < text.count {
      let step = step(in: text, at: offset, replacements)
      var output = step.output
      while isAfterSpace, output.first == 0x20 { output.removeFirst() }
      if let last = output.last {
        for byte in output {
          if byte == 0x20 && escapes {
            result.appendSpace(escaped: true, from: offset)
          } else {
            result.append(byte, from: offset)
          }
        }
        isAfterSpace = removes && last == 0x20
      }
      offset += step.consumed
    }
    if removes { offset = removeSpacesAtEnd(of: &result, end: offset) }
    if spaceIsSuffix && settings.addsDummyPrefix {
      result.appendSpace(escaped: escapes, from: offset)
    }
    result.origins.append(offset)
    return result
  }

  /// Returns where the text without these spaces ends in the original.
  private func removeSpacesAtEnd(of result: inout NormalizedText, end: Int) -> Int {
    let space: [UInt8] = settings.escapesSpaces ? [0xE2, 0x96, 0x81] : [0x20]
    var end = end
    var count = result.bytes.count
    while count >= space.count, result.bytes[(count - space.count)..<count].elementsEqual(space) {
      count -= space.count
      end = result.origins[count]
    }
    result.bytes.removeLast(result.bytes.count - count)
    result.origins.removeLast(result.origins.count - count)
    return end
  }

  @inline(__always)
  private func step(
    in text: UnsafeBufferPointer<UInt8>, at offset: Int,
    _ replacements: UnsafeBufferPointer<UInt8>
  ) -> Step {
    if let symbols, let length = symbols.longestPrefix(of: text, from: offset) {
      return Step(output: text[offset..<offset + length], consumed: length)
    }
    if let match = map?.longestMatch(in: text, at: offset) {
      var end = min(match.replacement, replacements.count - 1)
      let start = end
      while replacements[end] != 0 { end += 1 }
      return Step(output: replacements[start..<end], consumed: match.length)
    }
    let length = min(characterLength(text[offset]), text.count - offset)
    return Step(output: text[offset..<offset + length], consumed: length)
  }
}
