import Torch

/// One piece of memory for all tensors that fused steps make, each at a place of its own while it is
/// needed.
struct PlanArena {
  /// When a tensor is made and last read, by the number of the step, and how many floats it has.
  struct Need {
    let value: Int
    let shape: [Int]
    let first: Int
    let last: Int

    var count: Int { shape.reduce(1, *) }
  }

  /// The tensors by number.
  let tensors: [Int: Tensor]
  /// Floats in all.
  let count: Int

  /// The largest find their places first; each lies as far in front as those that it meets allow.
  init(_ needs: [Need]) {
    var placed: [(need: Need, start: Int, end: Int)] = []
    var starts: [Int: Int] = [:]
    for need in needs.sorted(by: { ($0.count, $1.value) > ($1.count, $0.value) }) {
      let size = (need.count + Self.alignment - 1) / Self.alignment * Self.alignment
      var start = 0
      for other in placed where other.need.first <= need.last && need.first <= other.need.last {
        if start + size <= other.start { break }
        start = max(start, other.end)
      }
      starts[need.value] = start
      placed.append((need, start, start + size))
      placed.sort { $0.start < $1.start }
    }
    count = placed.map(\.end).max() ?? 0
    let memory = Tensor.empty([count])
    tensors = Dictionary(
      uniqueKeysWithValues: needs.map { need in
        let start = starts[need.value] ?? 0
        return (need.value, memory.narrowed(0, start..<start + need.count).reshaped(need.shape))
      })
  }

  /// Floats: a cache line.
  private static let alignment = 16
}
