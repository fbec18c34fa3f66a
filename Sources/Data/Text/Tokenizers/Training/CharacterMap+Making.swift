import Foundation

extension CharacterMap {
  /// The bytes of SentencePiece's standard map, `nmt_nfkc`: compatibility composition (NFKC), control
  /// characters gone, all kinds of white space a space; U+FF5E stays.
  ///
  /// Made anew from the system's Unicode tables by SentencePiece's scheme: besides single characters all
  /// sequences that compose to others. Takes seconds, hence made once.
  static let standard = makeStandard()

  private static func makeStandard() -> [UInt8] {
    var rules = CompositionRules()
    rules.collect()
    for value in [0x61C, 0x1680, 0x200B, 0x200C, 0x200E, 0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF]
      + [0xFFFD, 0x9, 0xA, 0xC, 0xD] as [UInt32]
    {
      rules.map[[value]] = [0x20]
    }
    for value in Array(0x1...0x8) + [0xB] + Array(0xE...0x1F) + [0x7F, 0x8F, 0x9F] as [UInt32] {
      rules.map[[value]] = []
    }
    rules.map[[0xFF5E]] = nil
    return bytes(of: rules.withoutRedundant())
  }

  /// The trie and the replacements as SentencePiece lays them out.
  private static func bytes(of rules: [[UInt32]: [UInt32]]) -> [UInt8] {
    var replacements: [UInt8] = []
    var offsets: [[UInt32]: Int32] = [:]
    var keys = ByteStrings()
    var values: [Int32] = []
    for (key, value) in rules.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      if offsets[value] == nil {
        offsets[value] = Int32(replacements.count)
        replacements += utf8(value) + [0]
      }
      keys.append(utf8(key) + [0])
      values.append(offsets[value] ?? 0)
    }
    let nodes = Trie(sharing: keys, values: values).nodes
    var bytes: [UInt8] = []
    let append = { (value: UInt32) in
      withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
    append(UInt32(4 * nodes.count))
    for (index, node) in nodes.enumerated() { append(unit(of: node, at: index, in: nodes)) }
    return bytes + replacements
  }

  /// A node as Darts-clone packs it: a value, or a label and the distance to the children.
  private static func unit(of node: Trie.Node, at index: Int, in nodes: [Trie.Node]) -> UInt32 {
    // The highest bit keeps a walk from entering; values have it too.
    guard node.label != Trie.Node.free else { return 0x8000_0000 }
    if node.value >= 0 { return 0x8000_0000 | UInt32(node.value) }
    let distance = UInt32(index) ^ node.base
    precondition(distance < 1 << 21, "the trie of the character map is too large")
    let endsHere = nodes[Int(node.base)].label == 0
    let label = node.label == Trie.Node.root ? 0 : UInt32(node.label)
    return distance << 10 | (endsHere ? 1 << 8 : 0) | label
  }

  private static func utf8(_ values: [UInt32]) -> [UInt8] {
    var text = String.UnicodeScalarView()
    text.append(contentsOf: values.compactMap(Unicode.Scalar.init))
    return Array(String(text).utf8)
  }
}

/// All sequences of characters that compatibility composition changes.
private struct CompositionRules {
  var map: [[UInt32]: [UInt32]] = [:]

  /// Blocks without any character that composes or comes apart, but for the Hangul syllables.
  private static let inert: [ClosedRange<UInt32>] = [
    0x3400...0x9FFF, 0xA000...0xA63F, 0xE000...0xF8FF, 0x12000...0x16CFF, 0x17000...0x1CBFF,
    0x20000...0x2F7FF, 0x2FA20...0x10FFFF,
  ]

  mutating func collect() {
    var origins: [UInt32: [UInt32]] = [:]
    var decomposed: Set<[UInt32]> = []
    for scalar in Self.scalars() {
      let text = String(scalar)
      let composed = text.precomposedStringWithCompatibilityMapping.unicodeScalars.map(\.value)
      if composed != [scalar.value] { map[[scalar.value]] = composed }
      let parts = text.decomposedStringWithCompatibilityMapping.unicodeScalars.map(\.value)
      if parts.count == 1 {
        origins[parts[0], default: []].append(scalar.value)
      } else {
        decomposed.insert(parts)
      }
    }
    for parts in decomposed {
      var text = String.UnicodeScalarView()
      text.append(contentsOf: parts.compactMap(Unicode.Scalar.init))
      let composed = String(text).precomposedStringWithCanonicalMapping.unicodeScalars.map(\.value)
      guard composed != parts else { continue }
      for sequence in Self.sequences(parts, origins) where sequence != composed {
        map[sequence] = composed
      }
    }
  }

  private static func scalars() -> some Sequence<Unicode.Scalar> {
    (UInt32(1)...0x10FFFF).lazy.filter { value in !inert.contains { $0.contains(value) } }
      .compactMap(Unicode.Scalar.init)
      .filter { $0.properties.generalCategory != .unassigned }
  }

  /// All ways to write `parts` with characters that each become one of them.
  private static func sequences(
    _ parts: [UInt32], _ origins: [UInt32: [UInt32]]
  ) -> [[UInt32]] {
    var sequences: [[UInt32]] = [[]]
    for part in parts {
      let origins = origins[part] ?? [part]
      sequences = sequences.flatMap { sequence in origins.map { sequence + [$0] } }
    }
    return sequences
  }

  /// The rules that do more than shorter ones.
  func withoutRedundant() -> [[UInt32]: [UInt32]] {
    var kept: [[UInt32]: [UInt32]] = [:]
    kept.reserveCapacity(map.count)
    let byLength = Dictionary(grouping: map, by: \.key.count)
    for (length, rules) in byLength.sorted(by: { $0.key < $1.key }) {
      // Rules of equal length do not see each other.
      let added = rules.filter { Self.apply(kept, to: $0.key, longest: length - 1) != $0.value }
      for (key, value) in added { kept[key] = value }
    }
    return kept
  }

  private static func apply(
    _ rules: [[UInt32]: [UInt32]], to text: [UInt32], longest: Int
  ) -> [UInt32] {
    var result: [UInt32] = []
    var start = 0
    while start < text.count {
      var length = min(longest, text.count - start)
      while length > 0, rules[Array(text[start..<start + length])] == nil { length -= 1 }
      if length > 0, let value = rules[Array(text[start..<start + length])] {
        result += value
        start += length
      } else {
        result.append(text[start])
        start += 1
      }
    }
    return result
  }
}
