import Foundation

/// A word and the pieces that can stand in it, for training: reused from word to word.
struct UnigramLattice {
  struct Node {
    let id: Int32
    let begin: Int32, end: Int32
    let score: Float
  }

  private let trie: Trie
  private let scores: [Float]
  private let unknownScore: Float
  /// Offsets of the characters in the word, and of its end.
  private var offsets: [Int] = []
  /// In the order of their beginnings, shorter ones first.
  private(set) var nodes: [Node] = []
  /// For each place, the nodes that end there in their order, as a linked list.
  private var firstEnding: [Int32] = []
  private var lastEnding: [Int32] = []
  private var nextEnding: [Int32] = []
  private var firstBeginning: [Int32] = []
  private var forward: [Float] = []
  private var backward: [Float] = []

  init(_ pieces: UnigramPieces, _ trie: Trie) {
    self.trie = trie
    scores = pieces.scores
    unknownScore = (pieces.scores.min() ?? 0) - 10
  }

  private var length: Int { offsets.count - 1 }

  mutating func set(_ word: some RandomAccessCollection<UInt8>) {
    let found: Void? = word.withContiguousStorageIfAvailable { set($0) }
    if found == nil { Array(word).withUnsafeBufferPointer { set($0) } }
  }

  private mutating func set(_ word: UnsafeBufferPointer<UInt8>) {
    offsets.removeAll(keepingCapacity: true)
    var offset = 0
    while offset < word.count {
      offsets.append(offset)
      offset = min(word.count, offset + characterLength(word[offset]))
    }
    offsets.append(word.count)
    nodes.removeAll(keepingCapacity: true)
    firstBeginning.removeAll(keepingCapacity: true)
    for place in 0..<length {
      firstBeginning.append(Int32(nodes.count))
      addNodes(from: place, word)
    }
    firstBeginning.append(Int32(nodes.count))
    linkEndings()
  }

  private mutating func addNodes(from place: Int, _ word: UnsafeBufferPointer<UInt8>) {
    var hasCharacter = false
    var end = place + 1
    trie.nodes.withUnsafeBufferPointer { trie in
      var node = 0
      for offset in offsets[place]..<word.count {
        guard let next = Trie.child(of: node, by: word[offset], in: trie) else { return }
        node = next
        let id = trie[node].value
        guard id >= 0 else { continue }
        while offsets[end] < offset + 1 { end += 1 }
        if end == place + 1 { hasCharacter = true }
        nodes.append(
          Node(id: id, begin: Int32(place), end: Int32(end), score: scores[Int(id)]))
      }
    }
    if !hasCharacter {
      // Unknown characters count as the first piece, as they do in the package.
      nodes.append(
        Node(id: 0, begin: Int32(place), end: Int32(place + 1), score: unknownScore))
    }
  }

  private mutating func linkEndings() {
    let places = length + 1
    for _ in firstEnding.count..<max(places, firstEnding.count) {
      firstEnding.append(-1)
      lastEnding.append(-1)
    }
    for place in 0..<places { firstEnding[place] = -1 }
    nextEnding.removeAll(keepingCapacity: true)
    for (index, node) in nodes.enumerated() {
      nextEnding.append(-1)
      let end = Int(node.end)
      if firstEnding[end] < 0 {
        firstEnding[end] = Int32(index)
      } else {
        nextEnding[Int(lastEnding[end])] = Int32(index)
      }
      lastEnding[end] = Int32(index)
    }
  }

  /// Adds `count` times the probability of each node to its piece's entry.
  mutating func addExpectations(_ count: Int, to expected: inout [Float]) {
    let places = length + 1
    while forward.count < places {
      forward.append(0)
      backward.append(0)
    }
    forward[0] = 0
    for place in stride(from: 1, to: places, by: 1) {
      var sum: Float = 0
      var index = firstEnding[place]
      var isFirst = true
      while index >= 0 {
        let node = nodes[Int(index)]
        sum = logSum(sum, node.score + forward[Int(node.begin)], isFirst)
        isFirst = false
        index = nextEnding[Int(index)]
      }
      forward[place] = sum
    }
    backward[places - 1] = 0
    for place in (0..<places - 1).reversed() {
      var sum: Float = 0
      var isFirst = true
      for index in Int(firstBeginning[place])..<Int(firstBeginning[place + 1]) {
        let node = nodes[index]
        sum = logSum(sum, node.score + backward[Int(node.end)], isFirst)
        isFirst = false
      }
      backward[place] = sum
    }
    let total = forward[places - 1]
    for node in nodes {
      let score = forward[Int(node.begin)] + node.score + backward[Int(node.end)] - total
      let added = Double(Float(count)) * exp(Double(score))
      expected[Int(node.id)] = Float(Double(expected[Int(node.id)]) + added)
    }
  }

  /// The likeliest spelling's pieces; `excluding` a piece that spans the whole word.
  mutating func best(excludingWhole: Bool = false) -> [Int32] {
    let places = length + 1
    while forward.count < places {
      forward.append(0)
      backward.append(0)
    }
    var through = [Int32](repeating: -1, count: places)
    forward[0] = 0
    for place in stride(from: 1, to: places, by: 1) {
      var index = firstEnding[place]
      while index >= 0 {
        let node = nodes[Int(index)]
        let isWhole = node.begin == 0 && Int(node.end) == places - 1
        let isOpen = node.begin == 0 || through[Int(node.begin)] >= 0
        if isOpen && !(excludingWhole && isWhole) {
          let score = forward[Int(node.begin)] + node.score
          if through[place] < 0 || score > forward[place] {
            forward[place] = score
            through[place] = index
          }
        }
        index = nextEnding[Int(index)]
      }
    }
    var path: [Int32] = []
    var place = places - 1
    while place > 0, through[place] >= 0 {
      let node = nodes[Int(through[place])]
      path.append(node.id)
      place = Int(node.begin)
    }
    return path.reversed()
  }
}

/// log(exp(x) + exp(y)), or y when it is the first.
@inline(__always)
private func logSum(_ x: Float, _ y: Float, _ isFirst: Bool) -> Float {
  if isFirst { return y }
  let low = min(x, y), high = max(x, y)
  if high > low + 50 { return high }
  return Float(Double(high) + log(exp(Double(low - high)) + 1))
}

/// The logarithmic derivative of the gamma function, for positive numbers.
func digamma(_ value: Double) -> Double {
  var x = value
  var result = 0.0
  while x < 7 {
    result -= 1 / x
    x += 1
  }
  x -= 0.5
  let inverse = 1 / x
  let square = inverse * inverse
  let fourth = square * square
  result += log(x) + 1.0 / 24 * square - 7.0 / 960 * fourth
  result += 31.0 / 8064 * fourth * square - 127.0 / 30720 * fourth * fourth
  return result
}
