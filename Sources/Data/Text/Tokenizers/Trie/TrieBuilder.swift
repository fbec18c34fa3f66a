extension Trie {
  /// A trie of `keys` in which parts that are equal are stored once: for keys with few different values and
  /// many equal ends. As above otherwise.
  init(sharing keys: ByteStrings, values: [Int32]) {
    precondition(keys.count == values.count)
    var builder = TrieBuilder()
    var families = TrieFamilies(keys, values)
    builder.insert(&families)
    self.init(nodes: builder.nodes)
  }

  /// A trie of `keys`; the value of key `i` is `values[i]`, which must not be negative. Of equal keys the
  /// last one counts; empty keys are left out.
  init(_ keys: ByteStrings, values: [Int32]) {
    precondition(keys.count == values.count)
    var builder = TrieBuilder()
    builder.insert(keys, values)
    self.init(nodes: builder.nodes)
  }
}

/// Finds places for a trie's nodes. Only the newest blocks are searched for free ones, so that
/// building takes linear time; older blocks stay as full as they are.
private struct TrieBuilder {
  private static let blockSize = 256, openBlocks = 16

  private(set) var nodes: [Trie.Node] = []
  private var isBaseUsed: [Bool] = []
  /// The free nodes of the open blocks, as a circular list; -1 without any.
  private var firstFree = -1
  private var nextFree: [Int32] = []
  private var previousFree: [Int32] = []

  init() {
    addBlock()
    unlink(0)
    nodes[0].label = Trie.Node.root
    // A node without children has base 0, so that nobody else may have it.
    isBaseUsed[0] = true
  }

  /// A part of the sorted keys that share their first `depth` bytes, and the node of these.
  private struct Task {
    let node: Int, depth: Int
    let keys: Range<Int>
  }

  mutating func insert(_ keys: ByteStrings, _ values: [Int32]) {
    let order = keys.sortedIndices()
    var start = 0
    while start < order.count, keys.range(Int(order[start])).isEmpty { start += 1 }
    var tasks = [Task(node: 0, depth: 0, keys: start..<order.count)]
    var children: [(label: UInt8, keys: Range<Int>)] = []
    keys.bytes.withUnsafeBufferPointer { bytes in
      while let task = tasks.popLast() {
        children.removeAll(keepingCapacity: true)
        for position in task.keys {
          let range = keys.range(Int(order[position]))
          if range.count == task.depth {
            nodes[task.node].value = values[Int(order[position])]
            continue
          }
          let label = bytes[range.lowerBound + task.depth]
          if let last = children.last, last.label == label {
            children[children.count - 1].keys = last.keys.lowerBound..<position + 1
          } else {
            children.append((label, position..<position + 1))
          }
        }
        guard !children.isEmpty else { continue }
        let base = place(for: children)
        isBaseUsed[base] = true
        nodes[task.node].base = UInt32(base)
        for child in children {
          let node = base ^ Int(child.label)
          take(node, label: child.label)
          tasks.append(Task(node: node, depth: task.depth + 1, keys: child.keys))
        }
      }
    }
  }

  mutating func insert(_ families: inout TrieFamilies) {
    let root = families.root()
    var bases = [Int?](repeating: nil, count: families.all.count)
    var waiting: [(node: Int, family: Int)] = root.map { [(0, $0)] } ?? []
    while let (node, family) = waiting.popLast() {
      if let base = bases[family] {
        nodes[node].base = UInt32(base)
        continue
      }
      let children = families.all[family]
      let base = place(for: children.map { (UInt8($0.label), 0..<0) })
      isBaseUsed[base] = true
      bases[family] = base
      nodes[node].base = UInt32(base)
      for child in children {
        let place = base ^ Int(child.label)
        take(place, label: child.label)
        nodes[place].value = child.value
        if child.family >= 0 { waiting.append((place, Int(child.family))) }
      }
    }
  }

  /// A base that no other node uses, with a free node for each child.
  private mutating func place(for children: [(label: UInt8, keys: Range<Int>)]) -> Int {
    if firstFree >= 0 {
      var candidate = firstFree
      repeat {
        let base = candidate ^ Int(children[0].label)
        if !isBaseUsed[base],
          children.allSatisfy({ nodes[base ^ Int($0.label)].label == Trie.Node.free })
        {
          return base
        }
        candidate = Int(nextFree[candidate])
      } while candidate != firstFree
    }
    let block = nodes.count
    addBlock()
    return block
  }

  private mutating func take(_ node: Int, label: UInt8) {
    nodes[node].label = UInt16(label)
    unlink(node)
  }

  private mutating func addBlock() {
    let start = nodes.count
    for node in start..<start + Self.blockSize {
      nodes.append(Trie.Node())
      isBaseUsed.append(false)
      nextFree.append(-1)
      previousFree.append(-1)
      link(node)
    }
    let closed = start - Self.openBlocks * Self.blockSize
    guard closed >= 0 else { return }
    for node in closed..<closed + Self.blockSize where nextFree[node] >= 0 { unlink(node) }
  }

  private mutating func link(_ node: Int) {
    guard firstFree >= 0 else {
      firstFree = node
      nextFree[node] = Int32(node)
      previousFree[node] = Int32(node)
      return
    }
    let last = Int(previousFree[firstFree])
    nextFree[last] = Int32(node)
    previousFree[node] = Int32(last)
    nextFree[node] = Int32(firstFree)
    previousFree[firstFree] = Int32(node)
  }

  private mutating func unlink(_ node: Int) {
    guard nextFree[node] >= 0 else { return }
    let next = Int(nextFree[node]), previous = Int(previousFree[node])
    if next == node {
      firstFree = -1
    } else {
      nextFree[previous] = Int32(next)
      previousFree[next] = Int32(previous)
      if firstFree == node { firstFree = next }
    }
    nextFree[node] = -1
    previousFree[node] = -1
  }
}

/// The children of a trie's nodes; equal families are there once.
private struct TrieFamilies {
  struct Child: Hashable {
    let label: UInt8
    let value: Int32
    /// Its own children; -1 for none.
    let family: Int32
  }

  private(set) var all: [[Child]] = []
  private var numbers: [[Child]: Int32] = [:]
  private let keys: ByteStrings
  private let values: [Int32]
  private let order: [Int32]

  init(_ keys: ByteStrings, _ values: [Int32]) {
    self.keys = keys
    self.values = values
    order = keys.sortedIndices()
  }

  /// The root's family; nil without keys. Recursion is as deep as the longest key.
  mutating func root() -> Int? {
    let start = order.firstIndex { !keys.range(Int($0)).isEmpty } ?? order.count
    let number = family(of: start..<order.count, depth: 0)
    return number < 0 ? nil : Int(number)
  }

  private mutating func family(of range: Range<Int>, depth: Int) -> Int32 {
    var children: [Child] = []
    var start = range.lowerBound
    while start < range.upperBound, keys.range(Int(order[start])).count == depth { start += 1 }
    while start < range.upperBound {
      let label = byte(start, depth)
      var end = start + 1
      while end < range.upperBound, byte(end, depth) == label { end += 1 }
      // The keys that end with this child come first; of equal ones the last counts.
      var value: Int32 = -1
      for position in start..<end {
        let key = Int(order[position])
        guard keys.range(key).count == depth + 1 else { break }
        value = values[key]
      }
      let family = family(of: start..<end, depth: depth + 1)
      children.append(Child(label: label, value: value, family: family))
      start = end
    }
    guard !children.isEmpty else { return -1 }
    if let number = numbers[children] { return number }
    let number = Int32(all.count)
    all.append(children)
    numbers[children] = number
    return number
  }

  private func byte(_ position: Int, _ depth: Int) -> UInt8 {
    keys.bytes[keys.range(Int(order[position])).lowerBound + depth]
  }
}
