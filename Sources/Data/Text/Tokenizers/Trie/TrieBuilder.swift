extension Trie {
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
