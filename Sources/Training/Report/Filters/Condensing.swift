// Fewer rows and columns than there are, for a picture that one can look at.

/// At most `count` of `items` at equal distances, with the first and the last.
func spread<Item>(_ items: [Item], over count: Int) -> [Item] {
  guard items.count > count, count > 1 else { return items }
  return (0..<count).map { items[$0 * (items.count - 1) / (count - 1)] }
}

/// The `count` rows with the largest sums of squares, the largest first.
func strongest(_ rows: [[Float]], _ count: Int) -> [[Float]] {
  let energies = rows.map { row in
    row.reduce(0.0) { $1.isFinite ? $0 + Double($1) * Double($1) : $0 }
  }
  let order = rows.indices.sorted { (-energies[$0], $0) < (-energies[$1], $1) }
  return order.prefix(count).map { rows[$0] }
}

/// Where the number furthest from 0 is.
func peak(of row: [Float]) -> Int {
  row.indices.max { magnitude(row[$0]) < magnitude(row[$1]) } ?? 0
}

/// `row` as at most `count` numbers: of neighbours the one furthest from 0.
func condensed(_ row: [Float], to count: Int) -> [Float] {
  guard row.count > count else { return row }
  return (0..<count).map { part in
    let range = part * row.count / count..<(part + 1) * row.count / count
    return row[range].max { magnitude($0) < magnitude($1) } ?? 0
  }
}

/// Rows as at most `height` rows of at most `width` numbers: of neighbours the one furthest from 0.
func condensed(_ rows: [[Float]], to height: Int, by width: Int) -> [[Float]] {
  let rows = rows.map { condensed($0, to: width) }
  guard rows.count > height, let columns = rows.first?.indices else { return rows }
  let tall = columns.map { column in condensed(rows.map { $0[column] }, to: height) }
  return (0..<height).map { row in tall.map { $0[row] } }
}

/// The distance from 0; less than any for what is no finite number.
private func magnitude(_ value: Float) -> Float { value.isFinite ? abs(value) : -1 }
