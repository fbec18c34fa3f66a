import Torch

/// How often numbers came, by their size: in bins of equal width, which doubles where larger ones come.
struct ActivationHistogram {
  private static let binCount = 2048
  private static let histogram = Operator("histc")

  private var counts: [Double] = []
  private var low = 0.0
  private var high = 0.0
  /// Whether all numbers were finite.
  private(set) var isFinite = true

  mutating func add(_ numbers: Tensor) {
    let (least, most) = (numbers.min().item, numbers.max().item)
    guard least.isFinite, most.isFinite else { return isFinite = false }
    if counts.isEmpty {
      counts = Array(repeating: 0, count: Self.binCount)
      (low, high) = (least, max(most, least + max(1e-6, 1e-6 * least.magnitude)))
    }
    while least < low || most > high { widen(down: least < low) }
    let new = Self.histogram(numbers, Self.binCount, low, high).array(of: Double.self)
    for (index, count) in new.enumerated() { counts[index] += count }
  }

  /// Doubles the width of all bins, with new ones below or above.
  private mutating func widen(down: Bool) {
    let half = Self.binCount / 2
    let pairs = (0..<half).map { counts[2 * $0] + counts[2 * $0 + 1] }
    let empty = Array(repeating: 0.0, count: half)
    counts = down ? empty + pairs : pairs + empty
    if down { low -= high - low } else { high += high - low }
  }

  /// The range in which rounding to 8 bits changes the numbers least: by the sum of squares of what steps
  /// round and what the ends cut off. nil before the first number.
  var bestRange: ActivationRange? {
    guard !counts.isEmpty else { return nil }
    let width = (high - low) / Double(Self.binCount)
    // Of the bins before each edge: how many numbers, their sum, and their sum of squares, all counted
    // from the lowest number, that large ones may not cancel.
    var sums = [(count: 0.0, sum: 0.0, squares: 0.0)]
    for (index, count) in counts.enumerated() {
      let (value, last) = (width * (Double(index) + 0.5), sums[index])
      sums.append(
        (last.count + count, last.sum + count * value, last.squares + count * value * value))
    }
    let all = sums[Self.binCount]
    func edge(_ index: Int) -> Double { width * Double(index) }
    func error(_ first: Int, _ end: Int) -> Double {
      let (below, above, from, to) = (sums[first], sums[end], edge(first), edge(end))
      let step = (to - from) / Double(ActivationRange.stepCount)
      let cutBelow = below.squares - 2 * from * below.sum + from * from * below.count
      let cutAbove =
        (all.squares - above.squares) - 2 * to * (all.sum - above.sum)
        + to * to * (all.count - above.count)
      return (above.count - below.count) * step * step / 12 + cutBelow + cutAbove
    }
    var (first, end) = (0, Self.binCount)
    while true {
      let before = (first, end)
      first = (0..<end).min { error($0, end) < error($1, end) } ?? first
      end = (first + 1...Self.binCount).min { error(first, $0) < error(first, $1) } ?? end
      if (first, end) == before { break }
    }
    let range = ActivationRange(low: Float(low + edge(first)), high: Float(low + edge(end)))
    return range.isValid ? range : nil
  }
}
