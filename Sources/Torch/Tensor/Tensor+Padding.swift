extension Operator {
  static let pad = Operator("pad")
}

/// What a map shows beyond its border.
public enum PaddingMode: String, Codable, Sendable, CaseIterable {
  case zero
  /// The map again, from its opposite border on.
  case circular
  /// The map mirrored at its border row, which is not repeated.
  case reflect
  /// The border row.
  case replicate

  /// How many rows beyond the border a map of `size` rows has.
  public func limit(size: Int) -> Int {
    switch self {
    case .zero, .replicate: .max
    case .circular: size
    case .reflect: size - 1
    }
  }
}

extension Tensor {
  /// [B, C, H, W] with `after` more rows at the bottom (`dimension` 2) or columns at the right (3).
  public func padded(_ dimension: Int, after: Int, mode: PaddingMode) -> Tensor {
    let size = shape[dimension]
    precondition(
      rank == 4 && dimension > 1 && (0...mode.limit(size: size)).contains(after),
      "\(mode) padding of \(self) by \(after) along dimension \(dimension)")
    if after == 0 { return self }
    let borders = dimension == 2 ? [0, 0, 0, after] : [0, after, 0, 0]
    return switch mode {
    case .zero: padded(borders)
    case .reflect, .replicate: Operator.pad(self, borders, mode.rawValue)
    case .circular:
      .concatenated([self, narrowed(dimension, 0..<after)], dimension: dimension)
    }
  }
}
