import CTorch

/// Which rows of maps [B, S, H, W] a ``ColumnMix`` multiplies, and how far each moves before, zeros coming in from
/// beyond the map's edges.
package struct MapMoves: Sendable {
  /// Along which side of a map.
  package enum Axis: Sendable, Hashable { case height, width }

  /// Positions: `y[h, w] = x[h - down, w - right]`.
  package struct Move: Sendable, Hashable {
    package let down: Int
    package let right: Int

    package init(down: Int, right: Int) { (self.down, self.right) = (down, right) }
  }

  /// What they are, in a few words; and all that they depend on but the number of channels.
  package let name, key: String
  /// How many rows S a map has.
  package let mapRows: Int
  package let moves: [Move]
  /// Of each row that is multiplied: which of the map's it is, and the number of its move.
  package let rows: [(row: Int, move: Int)]
  /// Whether they are those of a convolution that ``PackedWeight/Format/winograd(side:)`` is for: every line and column
  /// of a map with one around it.
  package let areSquaresOfThree: Bool

  /// So many different moves at most are made of one map.
  package static let mostMoves = Int(CT_MOST_MOVES)

  /// All rows of a map, each once, along one axis by its own offset.
  package init(along axis: Axis, by offsets: [Int]) {
    let all = offsets.map {
      axis == .height ? Move(down: $0, right: 0) : Move(down: 0, right: $0)
    }
    let name = "moved along the \(axis)"
    self.init(
      name, key: "\(name) \(offsets)", mapRows: offsets.count,
      all.enumerated().map { ($0.offset, $0.element) })
  }

  /// What a convolution multiplies: for each channel the numbers under its kernel, line by line.
  ///
  /// - Parameters:
  ///   - stride: the map has as many rows for each channel as ``parts`` says, one after the other: of every
  ///     `stride`-th line and column, from each of the first ones on, as many as there are results.
  ///   - padding: lines above, and columns left of the map.
  package init(
    kernel: (height: Int, width: Int), stride: (height: Int, width: Int),
    padding: (height: Int, width: Int), channels: Int
  ) {
    let parts = Self.parts(kernel: kernel, stride: stride)
    // The result at i meets the map at i stride + tap - padding = (i - move) stride + part.
    func place(_ tap: Int, _ stride: Int, _ padding: Int) -> (part: Int, move: Int) {
      let from = tap - padding
      let part = (from % stride + stride) % stride
      return (part, (part - from) / stride)
    }
    var all: [(Int, Move)] = []
    for channel in 0..<channels {
      for line in 0..<kernel.height {
        let down = place(line, stride.height, padding.height)
        for column in 0..<kernel.width {
          let right = place(column, stride.width, padding.width)
          let part = parts == 1 ? 0 : down.part * stride.width + right.part
          all.append((channel * parts + part, Move(down: down.move, right: right.move)))
        }
      }
    }
    self.init(
      "under \(kernel.height)x\(kernel.width)"
        + (stride == (1, 1) ? "" : " by \(stride.height)x\(stride.width)"),
      key: "\(kernel) \(stride) \(padding)",
      mapRows: channels * parts, all,
      areSquaresOfThree: kernel == (3, 3) && stride == (1, 1) && padding == (1, 1))
  }

  /// Into how many rows each channel falls for a convolution.
  package static func parts(
    kernel: (height: Int, width: Int), stride: (height: Int, width: Int)
  ) -> Int {
    kernel == (1, 1) ? 1 : stride.height * stride.width
  }

  private init(
    _ name: String, key: String, mapRows: Int, _ rows: [(row: Int, move: Move)],
    areSquaresOfThree: Bool = false
  ) {
    var numbers: [Move: Int] = [:]
    var moves: [Move] = []
    self.rows = rows.map { row, move in
      if numbers[move] == nil {
        numbers[move] = moves.count
        moves.append(move)
      }
      return (row, numbers[move] ?? 0)
    }
    (self.name, self.key, self.mapRows, self.moves) = (name, key, mapRows, moves)
    self.areSquaresOfThree = areSquaresOfThree
  }

  /// Whether every row of the map is multiplied once, in order.
  package var readsEachOnce: Bool {
    rows.count == mapRows && rows.enumerated().allSatisfy { $0 == $1.row }
  }

  /// As kernels read them.
  var movedRows: [CTMovedRow] {
    rows.map { CTMovedRow(row: Int32($0.row), move: Int32($0.move)) }
  }

  func moves(width: Int) -> [CTMove] {
    moves.map { CTMove(offset: Int32($0.down * width + $0.right), across: Int32($0.right)) }
  }
}
