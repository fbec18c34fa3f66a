/// Words as lists of pieces, and how often each pair of neighbours occurs in them.
struct PairMerger {
  private struct Pair: Hashable {
    let first: Int32, second: Int32
  }

  private struct Word {
    var ids: [Int32]
    let count: Int
  }

  private(set) var pieces: [String] = []
  private var ids: [String: Int32] = [:]
  private var words: [Word] = []
  private var counts: [Pair: Int] = [:]
  /// The words in which a pair was seen; it may have gone from some since.
  private var places: [Pair: Set<Int32>] = [:]
  /// A heap of pairs, most frequent first; counts may be out of date.
  private var heap: [(count: Int, pair: Pair)] = []

  init(pieces: [String]) {
    for piece in pieces { add(piece: piece) }
  }

  @discardableResult
  mutating func add(piece: String) -> Int32 {
    if let id = ids[piece] { return id }
    let id = Int32(pieces.count)
    pieces.append(piece)
    ids[piece] = id
    return id
  }

  func id(of piece: String) -> Int32 { ids[piece] ?? 0 }

  mutating func add(word: [Int32], count: Int) {
    if word.count > 1 { words.append(Word(ids: word, count: count)) }
  }

  mutating func countPairs() {
    for (index, word) in words.enumerated() {
      for (first, second) in zip(word.ids, word.ids.dropFirst()) {
        let pair = Pair(first: first, second: second)
        counts[pair, default: 0] += word.count
        places[pair, default: []].insert(Int32(index))
      }
    }
    for (pair, count) in counts { push(count, pair) }
  }

  /// Makes the most frequent pair a piece; false when none occurs at least `least` times.
  mutating func mergeBest(_ least: Int) -> Bool {
    while let (count, pair) = pop() {
      let actual = counts[pair] ?? 0
      if actual != count {
        if actual > 0 { push(actual, pair) }
        continue
      }
      guard count >= least else { return false }
      let second = pieces[Int(pair.second)]
      let tail = second.hasPrefix("##") ? String(second.unicodeScalars.dropFirst(2)) : second
      let id = add(piece: pieces[Int(pair.first)] + tail)
      var changed: Set<Pair> = []
      for index in places[pair] ?? [] { merge(pair, into: id, in: Int(index), &changed) }
      counts[pair] = nil
      places[pair] = nil
      for pair in changed { if let count = counts[pair], count > 0 { push(count, pair) } }
      return true
    }
    return false
  }

  private mutating func merge(
    _ pair: Pair, into id: Int32, in index: Int, _ changed: inout Set<Pair>
  ) {
    let old = words[index].ids
    var new: [Int32] = []
    new.reserveCapacity(old.count)
    var position = 0
    while position < old.count {
      if position + 1 < old.count, old[position] == pair.first, old[position + 1] == pair.second {
        new.append(id)
        position += 2
      } else {
        new.append(old[position])
        position += 1
      }
    }
    guard new.count < old.count else { return }
    let count = words[index].count
    for (first, second) in zip(old, old.dropFirst()) {
      counts[Pair(first: first, second: second), default: 0] -= count
    }
    for (first, second) in zip(new, new.dropFirst()) {
      let pair = Pair(first: first, second: second)
      counts[pair, default: 0] += count
      if first == id || second == id {
        places[pair, default: []].insert(Int32(index))
        changed.insert(pair)
      }
    }
    words[index].ids = new
  }

  // MARK: Heap

  private func precedes(_ left: (count: Int, pair: Pair), _ right: (count: Int, pair: Pair)) -> Bool
  {
    if left.count != right.count { return left.count > right.count }
    if left.pair.first != right.pair.first { return left.pair.first < right.pair.first }
    return left.pair.second < right.pair.second
  }

  private mutating func push(_ count: Int, _ pair: Pair) {
    heap.append((count, pair))
    var child = heap.count - 1
    while child > 0, precedes(heap[child], heap[(child - 1) / 2]) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  private mutating func pop() -> (count: Int, pair: Pair)? {
    guard let best = heap.first else { return nil }
    let last = heap.removeLast()
    guard !heap.isEmpty else { return best }
    heap[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
        if precedes(heap[child], heap[least]) { least = child }
      }
      if least == parent { return best }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
