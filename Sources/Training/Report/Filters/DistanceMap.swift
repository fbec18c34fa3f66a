import Foundation

/// The filters over distances of all blocks as one picture: a row for each block.
struct DistanceMap {
  let layers: [DistanceFilter]
  let reach: Int

  /// The most rows and columns.
  private static let (mostRows, mostColumns) = (144, 400)
  private static let (width, left, right) = (920.0, 34.0, 912.0)

  var figure: String {
    get throws {
      let rows = spread(Array(layers.enumerated()), over: Self.mostRows)
      let numbers = rows.map { _, layer in
        let row = condensed(Array(layer.centre(reach)), to: Self.mostColumns)
        let limit = SignedPicture(width: row.count, height: 1, values: row).limit
        return row.map { limit > 0 ? $0 / limit : 0 }
      }
      let columns = numbers.first?.count ?? 1
      let picture = SignedPicture(
        width: columns, height: rows.count, values: numbers.flatMap(\.self))
      let rowHeight = min(16, max(3, 360 / Double(rows.count)))
      let (top, height) = (4.0, rowHeight * Double(rows.count))
      let frame = (x: Self.left, y: top, width: Self.right - Self.left, height: height)
      var parts = [try picture.svg("all", limit: 1, in: frame)]
      parts.append(
        """
        <path d="M\(place(frame.x)) \(place(top))h\(place(frame.width))v\(place(height))\
        h\(place(-frame.width))z"/>
        """)
      let step = max(1, Int((14 / rowHeight).rounded(.up)))
      parts += stride(from: 0, to: rows.count, by: step).map { row in
        """
        <text x="\(place(Self.left - 8))" y="\(place(top + (Double(row) + 0.5) * rowHeight + 4))" \
        text-anchor="end">\(rows[row].offset)</text>
        """
      }
      parts += distanceTicks(reach).map { distance in
        let share = (Double(distance + reach) + 0.5) / Double(2 * reach + 1)
        return """
          <text x="\(place(frame.x + share * frame.width))" y="\(place(top + height + 16))" \
          text-anchor="middle">\(signed(distance))</text>
          """
      }
      return """
        <figure class="wide">
        <svg viewBox="0 0 \(place(Self.width)) \(place(top + height + 22))" role="img" \
        aria-label="Weights of \(rows.count) blocks over distances from \(-reach) to \(reach)" \
        xmlns="http://www.w3.org/2000/svg">
        \(parts.joined(separator: "\n"))
        </svg>
        \(colourScale(1))
        </figure>
        """
    }
  }
}
