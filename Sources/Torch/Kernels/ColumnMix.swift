import CTorch

/// Token mixing in one pass: `sumActivation(activation(W f(x) + b) * resultScale * gate + residual)` for each
/// matrix of a batch in the CPU's float32 memory, where `f` normalises, scales and shifts, and applies a
/// hidden layer, if there are such. Of maps also convolutions, of the rows that they move.
package struct ColumnMix: Sendable {
  /// What the normalisation takes together.
  package enum Normalization: Sendable, Equatable {
    case none
    /// Each row to zero mean and unit variance.
    case rows(epsilon: Double)
    /// Each matrix.
    case matrices(epsilon: Double)
  }

  /// What stands between the normalisation and the layers of a map [B, S, H, W], whose positions are the
  /// channels.
  package struct Entry: Sendable {
    /// `* scale + shift` for each of the S rows.
    package var affine: (scale: Tensor, shift: Tensor)?
    package var activation = KernelActivation.identity
    /// What is multiplied of it in the place of its rows.
    package var moves: MapMoves?

    package init() {}

    /// Whether nothing stands there.
    package var isEmpty: Bool { affine == nil && activation == .identity && moves == nil }
  }

  private let normalization: Normalization
  private var entry: Entry
  private let movedRows: [CTMovedRow]
  private let scale: Tensor?
  private let shift: Tensor?
  private var hidden: PackedWeight?
  private let hiddenActivation: KernelActivation
  private var last: PackedWeight
  private let activation: KernelActivation
  private let resultScale: Tensor?
  private let sumActivation: KernelActivation
  private let isTurned: Bool

  /// - Parameters:
  ///   - affine: what follows the normalisation for each channel: `* scale + shift`, both [C].
  ///   - entry: what follows that, on maps.
  ///   - hidden: weight [F, S] and bias [F] of the layer before, and what follows it.
  ///   - weight: [O, S], or [O, F] with a hidden layer.
  ///   - bias: [O]
  ///   - resultScale: [C]
  ///   - sumActivation: what follows the residual.
  ///   - isTurned: whether columns become the rows of a channel mixing, which takes few columns, and those of
  ///     many matrices, faster. Not with bytes.
  package init(
    normalization: Normalization, affine: (scale: Tensor, shift: Tensor)?, entry: Entry = Entry(),
    hidden: (weight: Tensor, bias: Tensor?, activation: KernelActivation)?,
    weight: Tensor, bias: Tensor?, activation: KernelActivation, resultScale: Tensor?,
    sumActivation: KernelActivation = .identity, format: PackedWeight.Format = .float32,
    isTurned: Bool = false
  ) {
    self.normalization = normalization
    self.entry = entry
    movedRows = entry.moves?.movedRows ?? []
    self.entry.affine = entry.affine.map {
      ($0.scale.to(.float32).contiguous(), $0.shift.to(.float32).contiguous())
    }
    scale = affine?.scale.to(.float32).contiguous()
    shift = affine?.shift.to(.float32).contiguous()
    precondition(!isTurned || format != .bytes, "bytes are not multiplied turned around")
    precondition(
      entry.moves.map { $0.moves.count <= MapMoves.mostMoves && affine == nil } ?? true,
      "too many moves, or channels scaled before they move")
    if case .winograd = format {
      precondition(
        entry.moves?.areSquaresOfThree == true && entry.affine == nil && hidden == nil
          && entry.activation == .identity && normalization == .none && !isTurned,
        "minimal filtering is for convolutions with kernels of 3x3 of what nothing is done to before"
      )
    }
    self.isTurned = isTurned
    hiddenActivation = hidden?.activation ?? .identity
    if isTurned {
      (self.hidden, last) = PackedWeight.panels(
        hidden: hidden.map { ($0.weight, $0.bias) }, (weight, bias), format)
    } else {
      self.hidden = hidden.map {
        .tiles($0.weight, $0.bias ?? .zeros([$0.weight.shape[0]]), format)
      }
      last = .tiles(weight, bias, format)
    }
    self.activation = activation
    self.resultScale = resultScale?.to(.float32).contiguous()
    self.sumActivation = sumActivation
  }

  /// The same kernel, whose products of bytes take activations in known ranges.
  package func taking(_ ranges: ActivationRanges) -> ColumnMix {
    var mix = self
    mix.hidden?.range = ranges.input
    mix.last.range = hidden == nil ? ranges.input : ranges.hidden
    return mix
  }

  /// Whether products of some matrices' columns are added to those of others, so that what is no number in one
  /// of them reaches the others.
  package var addsMatrices: Bool { isTurned && last.format == .strassen }

  /// Whether `x` [B, S, ...] can be read where it lies.
  package static func accepts(_ x: Tensor) -> Bool {
    x.dtype == .float32 && x.device == .cpu && x.rank > 2 && layout(of: x) != nil
  }

  /// - Parameters:
  ///   - x: [B, S, ...], whose last dimensions are the C channels; where rows move, [B, S, H, W].
  ///   - gate: and `residual`: [B, O, ...]
  ///   - y: [B, O, ...], for the results; not x.
  package func callAsFunction(_ x: Tensor, gate: Tensor?, residual: Tensor?, into y: Tensor) {
    func layout(_ tensor: Tensor?) -> (batch: Int64, row: Int64) {
      guard let tensor else { return (0, 0) }
      guard let (batch, row) = Self.layout(of: tensor) else {
        Engine.fail("token mixing of memory without even rows: \(tensor)")
      }
      return (Int64(batch), Int64(row))
    }
    let shape = x.shape
    let depth = (hidden ?? last).depth
    precondition(shape[1] == (entry.moves?.mapRows ?? depth) && y.shape[1] == last.rows)
    precondition(entry.moves == nil || (shape.count == 4 && movedRows.count == depth))
    var mix = CTColumnMix()
    mix.batch = Int64(shape[0])
    mix.tokens = Int64(depth)
    mix.channels = Int64(shape[2...].reduce(1, *))
    mix.hidden = Int64(hidden?.rows ?? 0)
    mix.rows = Int64(last.rows)
    mix.x = x.floats
    (mix.xBatchStride, mix.xStride) = layout(x)
    switch normalization {
    case .none: mix.normalization = CT_NO_NORM
    case .rows(let epsilon): (mix.normalization, mix.epsilon) = (CT_ROW_NORM, Float(epsilon))
    case .matrices(let epsilon): (mix.normalization, mix.epsilon) = (CT_MATRIX_NORM, Float(epsilon))
    }
    (mix.scale, mix.shift) = (scale?.floats, shift?.floats)
    if let hidden { (mix.hiddenWeight, mix.hiddenBytes) = hidden.pointers }
    mix.hiddenBias = hidden?.bias?.floats
    mix.hiddenActivation = hiddenActivation.code
    (mix.weight, mix.weightBytes) = last.pointers
    mix.bfloat16 = last.format == .bfloat16
    mix.strassen = last.format == .strassen
    if case .winograd(let side) = last.format { mix.winograd = Int32(side) }
    mix.turned = isTurned
    mix.bias = last.bias?.floats
    mix.activation = activation.code
    mix.resultScale = resultScale?.floats
    mix.gate = gate?.floats
    (mix.gateBatchStride, mix.gateStride) = layout(gate)
    mix.residual = residual?.floats
    (mix.residualBatchStride, mix.residualStride) = layout(residual)
    mix.sumActivation = sumActivation.code
    mix.y = y.mutableFloats
    (mix.yBatchStride, mix.yStride) = layout(y)
    (mix.tokenScale, mix.tokenShift) = (entry.affine?.scale.floats, entry.affine?.shift.floats)
    mix.inputActivation = entry.activation.code
    (mix.mapRows, mix.mapWidth) = (Int64(shape[1]), Int64(shape[shape.count - 1]))
    let moves = entry.moves?.moves(width: shape[3]) ?? []
    mix.moveCount = Int64(moves.count)
    let status = withExtendedLifetime((x, gate, residual, y)) {
      moves.withUnsafeBufferPointer { moves in
        movedRows.withUnsafeBufferPointer { rows in
          (mix.moves, mix.movedRows) = (moves.baseAddress, rows.isEmpty ? nil : rows.baseAddress)
          return ct_mix_columns(&mix)
        }
      }
    }
    Engine.check(status, "token mixing of \(x)")
  }

  /// How far apart matrices and rows are, if rows have no gaps.
  static func layout(of x: Tensor) -> (batch: Int, row: Int)? {
    let (shape, strides) = (x.shape, x.strides)
    var expected = 1
    for axis in (2..<shape.count).reversed() {
      if shape[axis] != 1 && strides[axis] != expected { return nil }
      expected *= shape[axis]
    }
    return (strides[0], strides[1])
  }
}
