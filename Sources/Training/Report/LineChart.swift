import Foundation

/// Curves over epochs as a figure of SVG, which takes its colours from the page's style.
struct LineChart {
  struct Point {
    let epoch: Int
    let value: Double
  }

  /// The page's colours for curves.
  enum Color: String, CaseIterable {
    case one, two, three, four, five, six
  }

  struct Series {
    let name: String
    var color = Color.one
    let points: [Point]
  }

  let title: String
  let series: [Series]
  /// What values can be; the axis does not leave it.
  var limits: ClosedRange<Double> = 0...Double.greatestFiniteMagnitude
  var includesZero = true
  /// An epoch to mark with a line.
  var marked: Int?
  /// A value in words, for the axis with the distance of its ticks.
  let label: (_ value: Double, _ step: Double) -> String

  /// Above so many epochs, single points are not drawn.
  private static let mostPoints = 60
  // In units of the picture's own, which is as wide as its column.
  private static let (width, height) = (460.0, 220.0)
  private static let (left, right, top, bottom) = (46.0, 452.0, 10.0, 192.0)

  /// A figure with title, legend and curves.
  var figure: String {
    let named = series.count > 1 || series.first?.name != title
    let legend = series.map { "<span class=\"key \($0.color)\">\(escaped($0.name))</span>" }
    return """
      <figure>
      <figcaption><b>\(escaped(title))</b>\(named ? legend.joined() : "")</figcaption>
      \(svg)
      </figure>
      """
  }

  private var svg: String {
    let points = series.flatMap(\.points).filter { $0.value.isFinite }
    guard let first = points.map(\.epoch).min(), let last = points.map(\.epoch).max() else {
      return "<p class=\"soft\">No values.</p>"
    }
    let axis = Axis(enclosing: points.map(\.value), limits: limits, includesZero: includesZero)

    func x(_ epoch: Int) -> Double {
      guard last > first else { return (Self.left + Self.right) / 2 }
      return Self.left + (Self.right - Self.left) * Double(epoch - first) / Double(last - first)
    }
    func y(_ value: Double) -> Double {
      Self.bottom - (Self.bottom - Self.top) * axis.share(of: value)
    }

    var parts = axis.ticks.map { tick in
      """
      <path class="grid" d="M\(place(Self.left)) \(place(y(tick)))H\(place(Self.right))"/>\
      <text x="\(place(Self.left - 8))" y="\(place(y(tick) + 4))" text-anchor="end">\
      \(escaped(label(tick, axis.step)))</text>
      """
    }
    parts += Axis.wholeTicks(first...last).map { epoch in
      """
      <text x="\(place(x(epoch)))" y="\(place(Self.bottom + 20))" text-anchor="middle">\
      \(epoch)</text>
      """
    }
    if let marked, (first...last).contains(marked), last > first {
      parts.append(
        """
        <path class="mark" d="M\(place(x(marked))) \(place(Self.top))V\(place(Self.bottom))">\
        <title>best epoch: \(marked)</title></path>
        """)
    }
    for series in series {
      let points = series.points.filter { $0.value.isFinite }
      let corners = points.map { "\(place(x($0.epoch))),\(place(y($0.value)))" }
      parts.append(
        "<polyline class=\"\(series.color)\" points=\"\(corners.joined(separator: " "))\"/>")
      guard points.count <= Self.mostPoints else { continue }
      parts += points.map { point in
        """
        <circle class="\(series.color)" cx="\(place(x(point.epoch)))" cy="\(place(y(point.value)))" \
        r="2.2"><title>epoch \(point.epoch): \
        \(escaped(label(point.value, axis.step / 100)))</title></circle>
        """
      }
    }
    return """
      <svg viewBox="0 0 \(place(Self.width)) \(place(Self.height))" role="img" \
      aria-label="\(escaped(title)) over epochs" xmlns="http://www.w3.org/2000/svg">
      \(parts.joined(separator: "\n"))
      </svg>
      """
  }

  private func place(_ value: Double) -> String { decimal(value, 1) }
}

/// Round numbers at equal distances that enclose values.
struct Axis {
  /// The distance between ticks.
  let step: Double
  let ticks: [Double]

  init(enclosing values: [Double], limits: ClosedRange<Double>, includesZero: Bool) {
    var low = values.min() ?? 0
    var high = values.max() ?? 1
    if includesZero { (low, high) = (min(0, low), max(0, high)) }
    if high - low <= 1e-9 * abs(high) {  // one value: give it some room
      let room = high == 0 ? 1 : 0.1 * abs(high)
      (low, high) = (max(limits.lowerBound, low - room), min(limits.upperBound, high + room))
    }
    let step = Self.roundStep((high - low) / 5)
    self.step = step
    let first = Int((low / step + 1e-6).rounded(.down))
    let last = Int((high / step - 1e-6).rounded(.up))
    ticks = (first...max(last, first + 1)).map { Double($0) * step }
  }

  /// Where `value` lies between the first tick (0) and the last (1).
  func share(of value: Double) -> Double {
    guard let first = ticks.first, let last = ticks.last, last > first else { return 0 }
    return (value - first) / (last - first)
  }

  /// `value` with the digits that ticks `step` apart need.
  static func label(_ value: Double, _ step: Double) -> String {
    if value == 0 { return "0" }
    if !(1e-5..<1e7).contains(step) { return short(value) }
    return decimal(value, max(0, Int((-log10(step) - 1e-6).rounded(.up))))
  }

  /// At most about eight round epochs in `range`.
  static func wholeTicks(_ range: ClosedRange<Int>) -> [Int] {
    let step = max(1, Int(roundStep(Double(range.count) / 8)))
    let ticks = range.filter { $0 % step == 0 }
    return ticks.isEmpty ? [range.lowerBound] : ticks
  }

  /// The smallest of 1, 2, 5 times a power of ten that is at least `size`.
  private static func roundStep(_ size: Double) -> Double {
    let size = max(size, 1e-300)
    let power = pow(10, log10(size).rounded(.down))
    return power * ([1, 2, 5].first { power * $0 >= size * (1 - 1e-9) } ?? 10)
  }
}
