/// Byte strings with a number each, for finding all of them that begin a text in one walk.
///
/// A double array: the child of node `n` for byte `b` is node `base(n) ^ b`, if that node's label is
/// `b`. A walk touches one 12-byte node per byte of text.
struct Trie: Sendable {
  struct Node: Sendable {
    /// The children's place; one parent alone uses it.
    var base: UInt32 = 0
    /// The number of the string that ends here; -1 where none does.
    var value: Int32 = -1
    /// The byte that leads here; `free` in a node that is not in use.
    var label: UInt16 = Node.free

    static let free: UInt16 = 0x100
    static let root: UInt16 = 0x101
  }

  /// A multiple of 256 nodes, the root first: `base ^ byte` never leaves them.
  private(set) var nodes: [Node]

  init(nodes: [Node]) { self.nodes = nodes }

  /// The node that `byte` leads to from `node`; nil where there is none.
  @inline(__always)
  static func child(
    of node: Int, by byte: UInt8, in nodes: UnsafeBufferPointer<Node>
  ) -> Int? {
    let next = Int(nodes[node].base ^ UInt32(byte))
    return nodes[next].label == UInt16(byte) ? next : nil
  }

  /// The number of `key`; nil when it is not in the trie.
  func value(of key: some Sequence<UInt8>) -> Int32? {
    nodes.withUnsafeBufferPointer { nodes in
      var node = 0
      for byte in key {
        guard let next = Self.child(of: node, by: byte, in: nodes) else { return nil }
        node = next
      }
      return nodes[node].value >= 0 ? nodes[node].value : nil
    }
  }

  /// The length of the longest string that begins `text`; nil when none does.
  func longestPrefix(of text: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
    nodes.withUnsafeBufferPointer { nodes in
      var node = 0
      var longest: Int?
      for offset in start..<text.count {
        guard let next = Self.child(of: node, by: text[offset], in: nodes) else { break }
        node = next
        if nodes[node].value >= 0 { longest = offset + 1 - start }
      }
      return longest
    }
  }
}
