import Foundation

/// The pieces to start from: all characters, and the substrings of words that occur more than once and
/// are followed by different characters (the inner nodes of the text's suffix tree).
struct SeedPieces {
  private static let longestPiece = 16, largestNumber = 1_000_000
  private static let space: UInt32 = 0x2581, rare: UInt32 = 0x2585

  /// All words as code points. Each is there once for its end before a word and once for its end at a
  /// line's end; the last symbol tells which (`▁` or 0).
  private var symbols: [UInt32] = []
  /// For each symbol, how many there are to its word's end, the last one included.
  private var rest: [UInt32] = []
  /// For each symbol, how often its word occurs.
  private var weights: [Int] = []
  private var characters: [UInt32: Int] = [:]
  private var scripts = ScriptTable()

  init(_ words: TrainingWords) {
    for word in words.followed {
      let scalars = String(decoding: word.text, as: UTF8.self).unicodeScalars.map(\.value)
      for value in scalars where value != Self.rare && value != 0 {
        characters[value, default: 0] += word.byWord + word.byEnd
      }
      for (count, end) in [(word.byWord, Self.space), (word.byEnd, 0)] where count > 0 {
        symbols += scalars + [end]
        rest += (0...scalars.count).reversed().map { UInt32($0 + 1) }
        weights += Array(repeating: count, count: scalars.count + 1)
      }
    }
  }

  /// The pieces with the logarithms of their shares as scores: characters first, then the substrings that
  /// cover most of the text.
  mutating func pieces() -> UnigramPieces {
    var candidates = substrings()
    candidates.sort { $0.score != $1.score ? $0.score > $1.score : $0.order < $1.order }
    var pieces = UnigramPieces()
    let sorted = characters.sorted { $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key }
    for (value, count) in sorted { pieces.append(utf8(value), Float(count)) }
    for candidate in candidates.prefix(Self.largestNumber) {
      let range = candidate.start..<candidate.start + candidate.count
      pieces.append(symbols[range].flatMap(utf8), Float(candidate.score))
    }
    var sum: Float = 0
    for score in pieces.scores { sum += score }
    let total = Float(log(Double(sum)))
    pieces.scores = pieces.scores.map { Float(log(Double($0)) - Double(total)) }
    return pieces
  }

  private func utf8(_ value: UInt32) -> [UInt8] {
    Unicode.Scalar(value).map { Array(String($0).utf8) } ?? []
  }

  private struct Candidate {
    let start: Int, count: Int, score: Int, order: Int
  }

  /// Walks over the suffixes in order, closing an interval where the common prefix gets shorter.
  private mutating func substrings() -> [Candidate] {
    let suffixes = sortedSuffixes()
    var candidates: [Candidate] = []
    var open: [(depth: Int, first: Int)] = [(0, 0)]
    var sums = [0]
    for suffix in suffixes { sums.append(sums[sums.count - 1] + weights[Int(suffix)]) }
    for index in stride(from: 1, through: suffixes.count, by: 1) {
      let depth =
        index < suffixes.count
        ? commonPrefix(Int(suffixes[index - 1]), Int(suffixes[index])) : -1
      var first = index - 1
      while let last = open.last, last.depth > depth {
        open.removeLast()
        first = last.first
        let start = Int(suffixes[first])
        if last.depth >= 2, isPiece(start, last.depth),
          parts(start, Int(suffixes[index - 1]), at: last.depth)
        {
          let count = sums[index] - sums[first]
          candidates.append(
            Candidate(
              start: start, count: last.depth, score: count * last.depth, order: candidates.count))
        }
      }
      if let last = open.last, last.depth < depth { open.append((depth, first)) }
    }
    return candidates
  }

  /// Whether two suffixes go on with different bytes after `depth` characters. The package compares
  /// bytes: to it, texts that go on with – and with “ part later.
  private func parts(_ first: Int, _ last: Int, at depth: Int) -> Bool {
    guard last + depth < symbols.count, rest[last] > depth else { return true }
    return utf8(symbols[first + depth]).first != utf8(symbols[last + depth]).first
  }

  private func sortedSuffixes() -> [Int32] {
    // Without the last symbols alone: they would stand among the words' beginnings.
    var suffixes = (0..<Int32(symbols.count)).filter { rest[Int($0)] > 1 }
    symbols.withUnsafeBufferPointer { symbols in
      rest.withUnsafeBufferPointer { rest in
        suffixes.sort { first, second in
          let left = Int(first), right = Int(second)
          let count = Int(min(rest[left], rest[right], UInt32(Self.longestPiece + 1)))
          for offset in 0..<count where symbols[left + offset] != symbols[right + offset] {
            return symbols[left + offset] < symbols[right + offset]
          }
          return first < second
        }
      }
    }
    return suffixes
  }

  private func commonPrefix(_ left: Int, _ right: Int) -> Int {
    let count = Int(min(rest[left], rest[right], UInt32(Self.longestPiece + 1)))
    for offset in 0..<count where symbols[left + offset] != symbols[right + offset] {
      return offset
    }
    return count
  }

  /// Whether a piece may be spelled so: inside a word, of one script, `▁` only in front.
  private mutating func isPiece(_ start: Int, _ count: Int) -> Bool {
    guard count <= Self.longestPiece, count < Int(rest[start]) else { return false }
    var previous = ScriptTable.any
    for index in start..<start + count {
      let value = symbols[index]
      if value == Self.rare || value == 0 || value == 9 || value == 0x20 { return false }
      if value == Self.space {
        if index > start { return false }
        continue
      }
      var script = scripts.script(of: value)
      if script == ScriptTable.inherited { script = previous }
      if script != ScriptTable.any, previous != ScriptTable.any, script != previous { return false }
      previous = script
    }
    return true
  }
}
