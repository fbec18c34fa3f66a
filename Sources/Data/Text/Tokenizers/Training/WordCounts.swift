import Torch

/// The words that a unigram model learns from.
struct TrainingWords {
  /// Words and their counts, the most frequent first; rare characters are `▅`.
  var sentences: [(text: [UInt8], count: Int)] = []
  /// How often each word is followed by another, and how often by the end of its line.
  var followed: [(text: [UInt8], byWord: Int, byEnd: Int)] = []
  /// The characters that must have a piece, the most frequent first.
  var alphabet: [(character: [UInt8], count: Int)] = []
}

/// Counts the words of normalized lines.
struct WordCounts {
  private struct Count {
    var byWord = 0, byEnd = 0
    var all: Int { byWord + byEnd }
  }

  /// What a rare character becomes.
  static let rare: [UInt8] = Array("\u{2585}".utf8)

  private let longestWord: Int
  private let metaPieces: Trie
  private var counts: [[UInt8]: Count] = [:]
  /// How many words were too long.
  private(set) var longWords = 0

  init(metaPieces: [[UInt8]], longestWord: Int) {
    self.longestWord = longestWord
    let count = metaPieces.count
    self.metaPieces = Trie(
      ByteStrings(metaPieces), values: Array(repeating: 0, count: count))
  }

  mutating func add(_ line: [UInt8]) {
    line.withUnsafeBufferPointer { line in
      var start = 0
      while start < line.count {
        var end = start + 1
        while end < line.count, !isSpace(line, end) { end += 1 }
        if end - start <= longestWord {
          let word = withoutMetaPieces(UnsafeBufferPointer(rebasing: line[start..<end]))
          if end == line.count {
            counts[word, default: Count()].byEnd += 1
          } else {
            counts[word, default: Count()].byWord += 1
          }
        } else {
          longWords += 1
        }
        start = end
      }
    }
  }

  private func isSpace(_ line: UnsafeBufferPointer<UInt8>, _ offset: Int) -> Bool {
    line[offset] == 0xE2 && offset + 2 < line.count && line[offset + 1] == 0x96
      && line[offset + 2] == 0x81
  }

  /// Special tokens in the text are no text: a rare character stands for each.
  private func withoutMetaPieces(_ word: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    guard word.contains(UInt8(ascii: "<")) else { return Array(word) }
    var result: [UInt8] = []
    var offset = 0
    while offset < word.count {
      if let length = metaPieces.longestPrefix(of: word, from: offset) {
        result.append(9)
        offset += length
      } else {
        result.append(word[offset])
        offset += 1
      }
    }
    return result
  }

  /// - Throws: ``MingleError`` (`badData`) when there are no words.
  func words(coverage: Float) throws -> TrainingWords {
    guard !counts.isEmpty else {
      throw MingleError(
        .badData, "no words to learn from",
        next: "name files that hold text, with spaces between words")
    }
    var words = TrainingWords()
    words.alphabet = alphabet(coverage)
    let known = Set(words.alphabet.map(\.character))
    var merged: [[UInt8]: Count] = [:]
    for (word, count) in counts {
      let text = Self.characters(of: word)
        .flatMap { known.contains(Array($0)) ? Array($0) : Self.rare }
      merged[text, default: Count()].byWord += count.byWord
      merged[text, default: Count()].byEnd += count.byEnd
    }
    let sorted = merged.sorted { left, right in
      left.value.all != right.value.all
        ? left.value.all > right.value.all : left.key.lexicographicallyPrecedes(right.key)
    }
    words.sentences = sorted.map { ($0.key, $0.value.all) }
    words.followed = sorted.map { ($0.key, $0.value.byWord, $0.value.byEnd) }
    return words
  }

  private func alphabet(_ coverage: Float) -> [(character: [UInt8], count: Int)] {
    var characters: [[UInt8]: Int] = [:]
    for (word, count) in counts {
      for character in Self.characters(of: word) where character.first != 0 {
        characters[Array(character), default: 0] += count.all
      }
    }
    characters[Self.rare] = nil
    let total = characters.values.reduce(0, +)
    var alphabet: [(character: [UInt8], count: Int)] = []
    var covered = 0
    // Bytes sort as code points do.
    for (character, count) in characters.sorted(by: {
      $0.value != $1.value ? $0.value > $1.value : $0.key.lexicographicallyPrecedes($1.key)
    }) {
      if Float(Double(covered) / Double(total)) >= coverage { break }
      covered += count
      if character != [9] { alphabet.append((character, count)) }
    }
    return alphabet
  }

  static func characters(of word: [UInt8]) -> [ArraySlice<UInt8>] {
    var characters: [ArraySlice<UInt8>] = []
    var start = 0
    while start < word.count {
      let end = min(word.count, start + characterLength(word[start]))
      characters.append(word[start..<end])
      start = end
    }
    return characters
  }
}
