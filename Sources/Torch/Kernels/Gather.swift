import CTorch

/// The numbers of a tensor in the CPU's float32 memory, in another order: what several operators do in a row that only
/// move them, or leave some out.
package struct Gather: MapKernel {
  private let shape: [Int]
  /// Of runs that lie side by side before and after, if they are long.
  private let runs: [CTRun]
  /// Of each number otherwise: where it was.
  private let places: [Int32]

  /// - Parameters:
  ///   - places: of each number of the result in row-major order: its place among those of a tensor of `shape`.
  package init(_ places: [Int32], of shape: [Int]) {
    precondition(places.count < Int(Int32.max))
    self.shape = shape
    let count = shape.reduce(1, *)
    var runs: [CTRun] = []
    for (index, place) in places.enumerated() {
      precondition(0..<count ~= Int(place), "no number at \(place)")
      if let last = runs.last, last.from + last.count == place {
        runs[runs.count - 1].count += 1
      } else {
        runs.append(CTRun(from: place, to: Int32(index), count: 1))
      }
    }
    let areLong = runs.count * Self.shortestRun <= places.count
    (self.runs, self.places) = areLong ? (runs, []) : ([], places)
  }

  /// Below so many numbers in a run on average it takes longer to copy runs.
  private static let shortestRun = 6

  /// - Parameters:
  ///   - x: of the shape.
  ///   - y: for the results, without gaps; not x.
  package func callAsFunction(_ x: Tensor, into y: Tensor) {
    precondition(x.shape == shape && y.isContiguous, "gather of \(x)")
    let x = x.contiguous()
    let status = withExtendedLifetime((x, y)) {
      places.isEmpty
        ? ct_gather_runs(x.floats, runs, Int64(runs.count), y.mutableFloats)
        : ct_gather_numbers(x.floats, places, Int64(places.count), y.mutableFloats)
    }
    Engine.check(status, "gather of \(x)")
  }
}
