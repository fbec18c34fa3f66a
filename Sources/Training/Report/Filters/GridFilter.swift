import Models

/// Some of a block's filters over the grid of patches, each as a picture of the grid.
struct GridFilter {
  private let layer: SpatialFilters.Layer
  private let id: String
  private let grid: ImageSize
  private let weights: [Float]
  /// The filters to be shown, how many are in a row, and the patches that they give, if they do.
  private let filters: [[Float]]
  private let across: Int
  private let patches: [Int]
  /// Height and width of a filter's picture.
  private let side: (height: Int, width: Int)

  /// The most hidden units and how many are in a row, patches along a side of the grid whose filters
  /// are shown, and patches along a side of a picture.
  private static let (mostUnits, unitsAcross, mostPatches, mostSide) = (24, 6, 4, 32)

  /// - Parameter id: the beginning of ids; unique on the page.
  init(_ layer: SpatialFilters.Layer, _ grid: ImageSize, id: String) {
    self.layer = layer
    self.id = id
    self.grid = grid
    let weights = layer.weight.array(of: Float.self)
    self.weights = weights
    let (count, area) = (layer.weight.shape[0], layer.tokenCount)
    func filter(_ row: Int) -> [Float] { Array(weights[row * area..<(row + 1) * area]) }
    switch layer.unit {
    case .hidden:
      patches = []
      filters = strongest((0..<count).map(filter), Self.mostUnits)
      across = Self.unitsAcross
    case .token:
      let columns = Self.places(along: grid.width)
      patches = Self.places(along: grid.height)
        .flatMap { y in columns.map { y * grid.width + $0 } }.filter { $0 < count }
      filters = patches.map(filter)
      across = columns.count
    }
    side = (min(grid.height, Self.mostSide), min(grid.width, Self.mostSide))
  }

  /// Patches at about equal distances, the last as far from the end as the first from the beginning.
  private static func places(along length: Int) -> [Int] {
    let count = min(length, mostPatches)
    func near(_ place: Int) -> Int { ((2 * place + 1) * length - count) / (2 * count) }
    return (0..<count).map { $0 < count / 2 ? near($0) : length - 1 - near(count - 1 - $0) }
  }

  /// Where a filter's picture begins; there is one point between pictures.
  private func corner(_ index: Int) -> (top: Int, left: Int) {
    (index / across * (side.height + 1), index % across * (side.width + 1))
  }

  var figure: String {
    get throws {
      let picture = picture
      let limit = picture.limit
      let (wide, tall) = (picture.width, picture.height)
      let frame = (x: 0.0, y: 0.0, width: Double(wide), height: Double(tall))
      let inks = try picture.svg(id, limit: limit, in: frame)
      let note = "\(filters.count) of \(grouped(layer.weight.shape[0]))"
      return filterFigure(
        layer.name, note, weights,
        """
        <svg viewBox="-0.3 -0.3 \(wide).6 \(tall).6" role="img" \
        aria-label="\(escaped(layer.name)): \(note) filters over \(grid.height) by \(grid.width) \
        patches" xmlns="http://www.w3.org/2000/svg"><title>\(escaped(layer.key))</title>
        \(inks)
        \(frames)
        </svg>
        \(colourScale(limit))
        """)
    }
  }

  /// All filters beside each other.
  private var picture: SignedPicture {
    let down = (filters.count + across - 1) / across
    let (tall, wide) = (down * (side.height + 1) - 1, across * (side.width + 1) - 1)
    var values = [Float](repeating: 0, count: tall * wide)
    for (index, filter) in filters.enumerated() {
      let (top, left) = corner(index)
      let lines = (0..<grid.height).map { Array(filter[$0 * grid.width..<($0 + 1) * grid.width]) }
      for (line, row) in condensed(lines, to: side.height, by: side.width).enumerated() {
        let start = (top + line) * wide + left
        values.replaceSubrange(start..<start + side.width, with: row)
      }
    }
    return SignedPicture(width: wide, height: tall, values: values)
  }

  /// A frame around each filter, and around the patch that it gives.
  private var frames: String {
    let outer = filters.indices.map { index in
      let (top, left) = corner(index)
      return "M\(left) \(top)h\(side.width)v\(side.height)h\(-side.width)z"
    }
    let inner = patches.enumerated().map { index, patch in
      let (top, left) = corner(index)
      let x = left + patch % grid.width * side.width / grid.width
      let y = top + patch / grid.width * side.height / grid.height
      return "M\(x) \(y)h1v1h-1z"
    }
    return """
      <path class="cells" d="\(outer.joined())"/>\
      \(inner.isEmpty ? "" : "<path class=\"own\" d=\"\(inner.joined())\"/>")
      """
  }
}
