/// Many byte strings in one piece of memory.
struct ByteStrings: Sendable {
  private(set) var bytes: [UInt8] = []
  private var ends: [Int] = []

  init() {}

  init(_ strings: some Sequence<some Sequence<UInt8>>) {
    for string in strings { append(string) }
  }

  var count: Int { ends.count }

  func range(_ index: Int) -> Range<Int> {
    (index == 0 ? 0 : ends[index - 1])..<ends[index]
  }

  subscript(_ index: Int) -> ArraySlice<UInt8> { bytes[range(index)] }

  mutating func append(_ string: some Sequence<UInt8>) {
    bytes.append(contentsOf: string)
    ends.append(bytes.count)
  }

  /// The strings' indices in the order of their bytes; equal strings in the order of their indices.
  func sortedIndices() -> [Int32] {
    var indices = (0..<Int32(count)).map { $0 }
    bytes.withUnsafeBufferPointer { bytes in
      indices.sort { first, second in
        let left = range(Int(first)), right = range(Int(second))
        let order = compare(bytes, left, right)
        return order == 0 ? first < second : order < 0
      }
    }
    return indices
  }
}

/// Negative, zero or positive: the order of two ranges' bytes.
private func compare(
  _ bytes: UnsafeBufferPointer<UInt8>, _ left: Range<Int>, _ right: Range<Int>
) -> Int {
  for offset in 0..<min(left.count, right.count) {
    let difference = Int(bytes[left.lowerBound + offset]) - Int(bytes[right.lowerBound + offset])
    if difference != 0 { return difference }
  }
  return left.count - right.count
}
