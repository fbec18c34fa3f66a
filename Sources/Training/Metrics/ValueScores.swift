/// How well numbers were found, computed from the answers of a whole data set: GLUE's measures for
/// STS-B.
public struct ValueScores: Codable, Sendable, Hashable {
  public let samples: Int
  /// Nil where a correlation has no value: fewer than two samples, all labels or all answers the
  /// same, or one that is not finite.
  public let pearson: Double?
  /// Pearson's correlation of the ranks; equal values share the mean of theirs.
  public let spearman: Double?
  public let meanSquaredError: Double?

  enum CodingKeys: String, CodingKey {
    case samples, pearson, spearman
    case meanSquaredError = "mean_squared_error"
  }

  public init(answers: [Double], labels: [Double]) {
    precondition(answers.count == labels.count, "\(answers.count) answers, \(labels.count) labels")
    samples = labels.count
    let areFinite = (answers + labels).allSatisfy(\.isFinite)
    pearson = areFinite ? correlation(answers, labels) : nil
    spearman = areFinite ? correlation(ranks(answers), ranks(labels)) : nil
    let sum = zip(answers, labels).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    meanSquaredError = areFinite && !labels.isEmpty ? sum / Double(labels.count) : nil
  }
}

/// Pearson's correlation; nil where one side does not vary.
private func correlation(_ a: [Double], _ b: [Double]) -> Double? {
  guard a.count > 1 else { return nil }
  let meanA = a.reduce(0, +) / Double(a.count)
  let meanB = b.reduce(0, +) / Double(b.count)
  var (products, squaresA, squaresB) = (0.0, 0.0, 0.0)
  for (x, y) in zip(a, b) {
    products += (x - meanA) * (y - meanB)
    squaresA += (x - meanA) * (x - meanA)
    squaresB += (y - meanB) * (y - meanB)
  }
  // Means are rounded: values that are all the same may seem to vary.
  guard let firstA = a.first, let firstB = b.first, squaresA > 0, squaresB > 0,
    a.contains(where: { $0 != firstA }), b.contains(where: { $0 != firstB })
  else { return nil }
  return max(-1, min(1, products / (squaresA.squareRoot() * squaresB.squareRoot())))
}

/// The place of each value in rising order, from 1; equal values share the mean of theirs.
private func ranks(_ values: [Double]) -> [Double] {
  let order = values.indices.sorted { values[$0] < values[$1] }
  var ranks = [Double](repeating: 0, count: values.count)
  var start = 0
  while start < order.count {
    var end = start + 1
    while end < order.count, values[order[end]] == values[order[start]] { end += 1 }
    for place in start..<end { ranks[order[place]] = Double(start + end + 1) / 2 }
    start = end
  }
  return ranks
}
