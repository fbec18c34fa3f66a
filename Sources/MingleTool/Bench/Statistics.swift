/// The middle of measured values, and the span of their inner half.
struct Spread: Encodable {
  let lowerQuartile: Double
  let median: Double
  let upperQuartile: Double

  /// - Parameter values: at least one.
  init(of values: [Double]) {
    let sorted = values.sorted()
    func quantile(_ share: Double) -> Double {
      let place = share * Double(sorted.count - 1)
      let below = Int(place)
      let above = min(below + 1, sorted.count - 1)
      return sorted[below] + (place - Double(below)) * (sorted[above] - sorted[below])
    }
    lowerQuartile = quantile(0.25)
    median = quantile(0.5)
    upperQuartile = quantile(0.75)
  }
}
