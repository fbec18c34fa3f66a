extension UnigramTokenizer {
  public func tokens(in text: String) -> [Token] {
    var tokens: [Token] = []
    forEachToken(in: text) { id, range, startsWord in
      tokens.append(Token(id: id, range: range, startsWord: startsWord))
    }
    return tokens
  }

  public func encode(_ text: String) -> [Int32] {
    var ids: [Int32] = []
    forEachToken(in: text) { id, _, _ in ids.append(id) }
    return ids
  }

  private func forEachToken(in text: String, _ body: (Int32, Range<Int>, Bool) -> Void) {
    var text = text
    let normalized = text.withUTF8 { normalizer.normalize($0) }
    guard !normalized.bytes.isEmpty else { return }
    normalized.bytes.withUnsafeBufferPointer { bytes in
      normalized.origins.withUnsafeBufferPointer { origins in
        trie.nodes.withUnsafeBufferPointer { nodes in
          scores.withUnsafeBufferPointer { scores in
            var spelling = Spelling(
              Lattice(
                bytes: bytes, nodes: nodes, scores: scores, unknown: special.unknown,
                unknownScore: unknownScore, longestPiece: longestPiece))
            var emitter = Emitter(
              bytes: bytes, origins: origins, unknown: special.unknown, byteIDs: byteIDs,
              spaceIsSuffix: model.spaceIsSuffix)
            var start = 0
            while start < bytes.count {
              let end = partsAtSpaces ? nextSpace(in: bytes, after: start) : bytes.count
              spelling.find(start..<end) { emitter.add($0, $1, body) }
              start = end
            }
            emitter.finish(body)
          }
        }
      }
    }
  }

  /// Where the next word begins.
  @inline(__always)
  private func nextSpace(in bytes: UnsafeBufferPointer<UInt8>, after start: Int) -> Int {
    var offset = start + 1
    while offset < bytes.count {
      if bytes[offset] == 0xE2, offset + 2 < bytes.count, bytes[offset + 1] == 0x96,
        bytes[offset + 2] == 0x81
      {
        return offset
      }
      offset += 1
    }
    return bytes.count
  }
}

/// The likeliest way to get to a place of a word.
private struct Place {
  var score: Float
  var start: Int
  var id: Int32
}

/// Finds the likeliest spelling (Viterbi's algorithm), word by word.
private struct Spelling {
  private let lattice: Lattice
  /// The score up to the word: sums go on over the whole text, as in the package, whose ties they settle.
  private var total: Float = 0
  private var places: [Place] = []
  private var path: [(id: Int32, range: Range<Int>)] = []

  init(_ lattice: Lattice) { self.lattice = lattice }

  /// Calls `body` with the pieces of `range` in order.
  mutating func find(_ range: Range<Int>, _ body: (Int32, Range<Int>) -> Void) {
    let count = range.count
    places.removeAll(keepingCapacity: true)
    places.append(Place(score: total, start: 0, id: -1))
    for _ in 0..<count { places.append(Place(score: 0, start: -1, id: -1)) }
    places.withUnsafeMutableBufferPointer { lattice.fill($0, range) }
    total = places[count].score
    path.removeAll(keepingCapacity: true)
    var end = count
    while end > 0 {
      let place = places[end]
      path.append((place.id, range.lowerBound + place.start..<range.lowerBound + end))
      end = place.start
    }
    for step in path.reversed() { body(step.id, step.range) }
  }
}

/// The pieces that can stand at each place of a text.
private struct Lattice {
  let bytes: UnsafeBufferPointer<UInt8>
  let nodes: UnsafeBufferPointer<Trie.Node>
  let scores: UnsafeBufferPointer<UnigramTokenizer.Score>
  let unknown: Int32
  let unknownScore: Float
  let longestPiece: Int

  /// Fills the places of `range`, of which the first is given.
  @inline(__always)
  func fill(_ places: UnsafeMutableBufferPointer<Place>, _ range: Range<Int>) {
    var start = range.lowerBound
    while start < range.upperBound {
      rebase(places, from: start - range.lowerBound)
      let score = places[start - range.lowerBound].score
      let length = min(characterLength(bytes[start]), range.upperBound - start)
      var hasCharacter = false
      var node = 0
      var offset = start
      while offset < range.upperBound,
        let next = Trie.child(of: node, by: bytes[offset], in: nodes)
      {
        node = next
        offset += 1
        let id = nodes[node].value
        guard id >= 0 else { continue }
        guard case .used(let value) = scores[Int(id)] else { continue }
        let candidate = value + score
        let place = places[offset - range.lowerBound]
        if place.start < 0 || candidate > place.score {
          places[offset - range.lowerBound] = Place(
            score: candidate, start: start - range.lowerBound, id: id)
        }
        if offset - start == length { hasCharacter = true }
      }
      if !hasCharacter {
        let candidate = unknownScore + score
        let place = places[start + length - range.lowerBound]
        if place.start < 0 || candidate > place.score {
          places[start + length - range.lowerBound] = Place(
            score: candidate, start: start - range.lowerBound, id: unknown)
        }
      }
      start += length
    }
  }
}

extension Lattice {
  /// Scores below this are counted anew from 0, as they would round too much. The package does the same,
  /// and its ties in long lines depend on it.
  private static let lowest: Float = -100_000

  @inline(__always)
  private func rebase(_ places: UnsafeMutableBufferPointer<Place>, from start: Int) {
    let score = places[start].score
    guard score < Self.lowest else { return }
    // Further on there is nothing yet.
    let end = min(places.count, start + max(4, longestPiece) + 1)
    for index in start..<end where index == start || places[index].start >= 0 {
      places[index].score -= score
    }
  }
}

/// Turns pieces into tokens: unknown characters in a row are one token, or several bytes.
private struct Emitter {
  let bytes: UnsafeBufferPointer<UInt8>
  let origins: UnsafeBufferPointer<Int>
  let unknown: Int32
  let byteIDs: [Int32]
  let spaceIsSuffix: Bool
  /// Unknown characters that wait for more of them.
  private var pending: Range<Int>?
  private var isFirst = true

  init(
    bytes: UnsafeBufferPointer<UInt8>, origins: UnsafeBufferPointer<Int>, unknown: Int32,
    byteIDs: [Int32], spaceIsSuffix: Bool
  ) {
    self.bytes = bytes
    self.origins = origins
    self.unknown = unknown
    self.byteIDs = byteIDs
    self.spaceIsSuffix = spaceIsSuffix
  }

  @inline(__always)
  mutating func add(
    _ id: Int32, _ range: Range<Int>, _ body: (Int32, Range<Int>, Bool) -> Void
  ) {
    if id != unknown {
      finish(body)
      emit(id, range, body)
    } else if !byteIDs.isEmpty {
      emitBytes(range, body)
    } else {
      pending = (pending?.lowerBound ?? range.lowerBound)..<range.upperBound
    }
  }

  @inline(__always)
  mutating func finish(_ body: (Int32, Range<Int>, Bool) -> Void) {
    guard let range = pending else { return }
    pending = nil
    emit(unknown, range, body)
  }

  @inline(__always)
  private mutating func emit(
    _ id: Int32, _ range: Range<Int>, _ body: (Int32, Range<Int>, Bool) -> Void
  ) {
    body(id, origins[range.lowerBound]..<origins[range.upperBound], startsWord(range.lowerBound))
    isFirst = false
  }

  /// The last byte stands for the character, the others for nothing.
  private mutating func emitBytes(
    _ range: Range<Int>, _ body: (Int32, Range<Int>, Bool) -> Void
  ) {
    let start = origins[range.lowerBound], end = origins[range.upperBound]
    for index in range {
      let isLast = index == range.upperBound - 1
      let starts = index == range.lowerBound && startsWord(index)
      body(byteIDs[Int(bytes[index])], start..<(isLast ? end : start), starts)
    }
    isFirst = false
  }

  /// Whether a word begins at `offset`: after or with `▁`.
  @inline(__always)
  private func startsWord(_ offset: Int) -> Bool {
    if isFirst { return true }
    let place = spaceIsSuffix ? offset - 3 : offset
    return place >= 0 && place + 2 < bytes.count && bytes[place] == 0xE2
      && bytes[place + 1] == 0x96 && bytes[place + 2] == 0x81
  }
}
