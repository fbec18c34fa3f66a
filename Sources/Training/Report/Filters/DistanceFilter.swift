import Foundation
import Models

/// A block's weights over distances, as a curve.
struct DistanceFilter {
  let name: String
  let key: String
  /// From the distance 1 - n to n - 1.
  let weights: [Float]

  /// The share of a block's energy that its curve shows at least.
  private static let shownEnergy = 0.8
  /// Above so many values a curve tells the lowest and highest of several.
  private static let mostValues = 512
  /// Up to so many values each is a point with a text.
  private static let mostPoints = 60

  init(_ layer: SpatialFilters.Layer) {
    name = layer.name
    key = layer.key
    weights = layer.weight.array(of: Float.self)
  }

  /// n
  var tokenCount: Int { (weights.count + 1) / 2 }

  /// The weights from the distance `-reach` to `reach`.
  func centre(_ reach: Int) -> ArraySlice<Float> {
    weights[(tokenCount - 1 - reach)...(tokenCount - 1 + reach)]
  }

  /// The distance within which each of `layers` has most of its energy, the sum of squares.
  static func reach(of layers: [DistanceFilter]) -> Int {
    guard let n = layers.map(\.tokenCount).min() else { return 0 }
    let widest = layers.map(\.ownReach).max() ?? 0
    return min(n - 1, max(16, widest + widest / 4))
  }

  private var ownReach: Int {
    let squares = weights.map { $0.isFinite ? Double($0) * Double($0) : 0 }
    let total = squares.reduce(0, +)
    let middle = tokenCount - 1
    var sum = squares[middle]
    var reach = 0
    while reach < middle && sum < Self.shownEnergy * total {
      reach += 1
      sum += squares[middle - reach] + squares[middle + reach]
    }
    return reach
  }

  // MARK: The figure

  func figure(reach: Int) -> String {
    let values = Array(centre(reach))
    let finite = values.filter(\.isFinite)
    guard !finite.isEmpty else { return filterFigure(name, "", weights, "") }
    return filterFigure(name, peak, weights, svg(values, reach))
  }

  /// "0.012 at -1": the weight furthest from 0.
  private var peak: String {
    let finite = weights.indices.filter { weights[$0].isFinite }
    guard let place = finite.max(by: { abs(weights[$0]) < abs(weights[$1]) }) else { return "" }
    let distance = place - (tokenCount - 1)
    return "\(short(Double(weights[place]))) at \(signed(distance))"
  }

  private func svg(_ values: [Float], _ reach: Int) -> String {
    let finite = values.filter(\.isFinite).map(Double.init)
    let plane = Plane(
      axis: Axis(enclosing: finite, limits: -.infinity ... .infinity, includesZero: true),
      reach: reach)
    let parts = plane.frame + curves(values, reach).map { curve($0, plane) }
    return """
      <svg viewBox="0 0 \(place(Plane.width)) \(place(Plane.height))" role="img" \
      aria-label="\(escaped(name)): weights over distances from \(-reach) to \(reach), largest \
      \(peak)" xmlns="http://www.w3.org/2000/svg"><title>\(escaped(key))</title>
      \(parts.joined(separator: "\n"))
      </svg>
      """
  }

  private func curve(_ run: [(distance: Int, weight: Float)], _ plane: Plane) -> String {
    guard let first = run.first, let last = run.last else { return "" }
    let corners = run.map { "\(plane.x($0.distance)),\(plane.y(Double($0.weight)))" }
      .joined(separator: " ")
    let few = 2 * plane.reach < Self.mostPoints ? run : []
    let points = few.map { distance, weight in
      """
      <circle class="one" cx="\(plane.x(distance))" cy="\(plane.y(Double(weight)))" r="1.8">\
      <title>distance \(distance): \(short(Double(weight)))</title></circle>
      """
    }
    return """
      <path class="area" d="M\(plane.x(first.distance)) \(plane.y(0))L\(corners) \
      L\(plane.x(last.distance)) \(plane.y(0))Z"/>
      <polyline class="one fine" points="\(corners)"/>
      \(points.joined(separator: "\n"))
      """
  }

  /// The finite weights in runs without gaps; of very many, the lowest and highest of neighbours.
  private func curves(
    _ values: [Float], _ reach: Int
  ) -> [[(distance: Int, weight: Float)]] {
    let points = values.enumerated().map { (distance: $0 - reach, weight: $1) }
    let runs = points.split { !$0.weight.isFinite }.map(Array.init)
    guard values.count > Self.mostValues else { return runs }
    let size = (2 * values.count + Self.mostValues - 1) / Self.mostValues
    return runs.map { run in
      stride(from: 0, to: run.count, by: size).flatMap { start in
        let part = run[start..<min(start + size, run.count)]
        let ends = [part.min { $0.weight < $1.weight }, part.max { $0.weight < $1.weight }]
        return ends.compactMap(\.self).sorted { $0.distance < $1.distance }
      }
    }
  }
}

/// "+2", "0", "-2".
func signed(_ distance: Int) -> String { distance > 0 ? "+\(distance)" : "\(distance)" }

/// Round distances from `-reach` to `reach`, with 0.
func distanceTicks(_ reach: Int) -> [Int] { reach == 0 ? [0] : Axis.wholeTicks(-reach...reach) }

/// Where distances and weights lie in a block's picture, in units of its own.
private struct Plane {
  let axis: Axis
  let reach: Int

  static let (width, height) = (300.0, 160.0)
  private static let (left, right, top, bottom) = (50.0, 294.0, 8.0, 134.0)

  func x(_ distance: Int) -> String {
    guard reach > 0 else { return place((Self.left + Self.right) / 2) }
    let share = Double(distance + reach) / Double(2 * reach)
    return place(Self.left + (Self.right - Self.left) * share)
  }

  func y(_ value: Double) -> String {
    place(Self.bottom - (Self.bottom - Self.top) * axis.share(of: value))
  }

  /// Lines and numbers.
  var frame: [String] {
    let rows = axis.ticks.map { tick in
      """
      <path\(tick == 0 ? " class=\"zero\"" : "") d="M\(place(Self.left)) \(y(tick))\
      H\(place(Self.right))"/><text x="\(place(Self.left - 6))" y="\(y(tick))" dy="4" \
      text-anchor="end">\(Axis.label(tick, axis.step))</text>
      """
    }
    let columns = distanceTicks(reach).map { distance in
      """
      <text x="\(x(distance))" y="\(place(Self.bottom + 18))" text-anchor="middle">\
      \(signed(distance))</text>
      """
    }
    let middle = "<path class=\"mark\" d=\"M\(x(0)) \(place(Self.top))V\(place(Self.bottom))\"/>"
    return rows + columns + [middle]
  }
}
