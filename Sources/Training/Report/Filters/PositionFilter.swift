import Models

/// A block's weights over the positions of a text: one matrix.
struct PositionFilter {
  private let layer: SpatialFilters.Layer
  private let id: String
  private let weights: [Float]
  /// The rows to be shown: of hidden units the strongest, in the order of their peaks.
  private let rows: [[Float]]

  /// The most rows and columns of the picture.
  private static let mostSide = 128
  // In units of the picture's own, which is as wide as its column.
  private static let (width, left, right, top) = (300.0, 34.0, 294.0, 4.0)
  private static let side = right - left

  /// - Parameter id: the beginning of ids; unique on the page.
  init(_ layer: SpatialFilters.Layer, id: String) {
    self.layer = layer
    self.id = id
    let weights = layer.weight.array(of: Float.self)
    self.weights = weights
    let columns = layer.tokenCount
    let all = (0..<layer.weight.shape[0]).map { Array(weights[$0 * columns..<($0 + 1) * columns]) }
    rows =
      layer.unit == .token
      ? all : strongest(all, Self.mostSide).sorted { peak(of: $0) < peak(of: $1) }
  }

  var figure: String {
    get throws {
      let shown = condensed(rows, to: Self.mostSide, by: Self.mostSide)
      let (tall, wide) = (shown.count, shown.first?.count ?? 0)
      let picture = SignedPicture(width: wide, height: tall, values: shown.flatMap(\.self))
      let limit = picture.limit
      let height = min(Self.side, max(24, Self.side * Double(tall) / Double(wide)))
      let frame = (x: Self.left, y: Self.top, width: Self.side, height: height)
      let inks = try picture.svg(id, limit: limit, in: frame)
      return filterFigure(
        layer.name, note, weights,
        """
        <svg viewBox="0 0 \(place(Self.width)) \(place(height + 28))" role="img" \
        aria-label="\(escaped(layer.name)): weights of \(note) over \(layer.tokenCount) positions" \
        xmlns="http://www.w3.org/2000/svg"><title>\(escaped(layer.key))</title>
        \(inks)
        <path d="M\(place(Self.left)) \(place(Self.top))h\(place(Self.side))v\(place(height))\
        h\(place(-Self.side))z"/>
        \(ticks(height: height))
        </svg>
        \(colourScale(limit))
        """)
    }
  }

  private var note: String {
    let count = layer.weight.shape[0]
    return layer.unit == .token
      ? "\(grouped(count)) tokens" : "\(grouped(rows.count)) of \(grouped(count)) units"
  }

  /// The numbers of positions below the matrix and, where rows are tokens, beside it.
  private func ticks(height: Double) -> String {
    func positions(_ count: Int) -> [(position: Int, share: Double)] {
      Axis.wholeTicks(0...max(1, count - 1)).filter { $0 < count }.map {
        ($0, (Double($0) + 0.5) / Double(count))
      }
    }
    let below = positions(layer.tokenCount).map { position, share in
      """
      <text x="\(place(Self.left + share * Self.side))" y="\(place(Self.top + height + 16))" \
      text-anchor="middle">\(position)</text>
      """
    }
    let beside = positions(layer.unit == .token ? rows.count : 0).map { position, share in
      """
      <text x="\(place(Self.left - 6))" y="\(place(Self.top + share * height + 4))" \
      text-anchor="end">\(position)</text>
      """
    }
    return (below + beside).joined(separator: "\n")
  }
}
