/// The batches of an epoch, formed so that texts of similar length come together.
///
/// Training draws an order, sorts it by length within stretches of 64 batches, cuts it into batches
/// and draws their order: everything by seed and epoch. Otherwise all texts are sorted by length, and
/// their places tell the order of the data.
struct LengthBuckets: Sendable {
  private static let stretch = 64

  let batches: [[Int]]

  /// - Parameter lengths: nil for texts that all count as equally long: only the order is drawn.
  init(count: Int, lengths: [Int]?, options: LoaderOptions, epoch: Int) {
    var random = RandomNumbers(seed: options.seed, .order, epoch: epoch)
    let order = options.isShuffled ? random.permutation(count) : Array(0..<count)
    let size = options.batchSize
    let stretch = options.isShuffled ? min(Self.stretch * size, count) : count
    var sorted: [Int] = []
    sorted.reserveCapacity(count)
    for start in stride(from: 0, to: count, by: max(1, stretch)) {
      let part = order[start..<min(start + stretch, count)]
      guard let lengths else {
        sorted += part
        continue
      }
      // Swift's sort is stable, but promises it nowhere.
      sorted += part.enumerated()
        .sorted { (lengths[$0.element], $0.offset) < (lengths[$1.element], $1.offset) }
        .map(\.element)
    }
    var batches = stride(from: 0, to: count, by: size).map {
      Array(sorted[$0..<min($0 + size, count)])
    }
    if options.dropsLast, let last = batches.last, last.count < size { batches.removeLast() }
    if options.isShuffled && lengths != nil {
      batches = random.permutation(batches.count).map { batches[$0] }
    }
    self.batches = batches
  }
}
