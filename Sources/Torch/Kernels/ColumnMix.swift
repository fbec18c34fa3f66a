import CTorch

/// Token mixing in one pass: `activation(W f(x) + b) * resultScale * gate + residual` for each matrix
/// of a batch in the CPU's float32 memory, where `f` normalises, scales and shifts, and applies a
/// hidden layer, if there are such.
package struct ColumnMix: Sendable {
  /// What the normalisation takes together.
  package enum Normalization: Sendable, Equatable {
    case none
    /// Each row to zero mean and unit variance.
    case rows(epsilon: Double)
    /// Each matrix.
    case matrices(epsilon: Double)
  }

  private let normalization: Normalization
  private let scale: Tensor?
  private let shift: Tensor?
  private let hidden: PackedWeight?
  private let hiddenActivation: KernelActivation
  private let last: PackedWeight
  private let activation: KernelActivation
  private let resultScale: Tensor?

  /// - Parameters:
  ///   - affine: what follows the normalisation for each channel: `* scale + shift`, both [C].
  ///   - hidden: weight [F, S] and bias [F] of the layer before, and what follows it.
  ///   - weight: [O, S], or [O, F] with a hidden layer.
  ///   - bias: [O]
  ///   - resultScale: [C]
  package init(
    normalization: Normalization, affine: (scale: Tensor, shift: Tensor)?,
    hidden: (weight: Tensor, bias: Tensor?, activation: KernelActivation)?,
    weight: Tensor, bias: Tensor?, activation: KernelActivation, resultScale: Tensor?,
    format: PackedWeight.Format = .float32
  ) {
    self.normalization = normalization
    scale = affine?.scale.to(.float32).contiguous()
    shift = affine?.shift.to(.float32).contiguous()
    self.hidden = hidden.map { .tiles($0.weight, $0.bias ?? .zeros([$0.weight.shape[0]]), format) }
    hiddenActivation = hidden?.activation ?? .identity
    last = .tiles(weight, bias, format)
    self.activation = activation
    self.resultScale = resultScale?.to(.float32).contiguous()
  }

  /// Whether `x` [B, S, ...] can be read where it lies.
  package static func accepts(_ x: Tensor) -> Bool {
    x.dtype == .float32 && x.device == .cpu && x.rank > 2 && layout(of: x) != nil
  }

  /// - Parameters:
  ///   - x: [B, S, ...], whose last dimensions are the C channels.
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
    precondition(shape[1] == (hidden ?? last).depth && y.shape[1] == last.rows)
    var mix = CTColumnMix()
    mix.batch = Int64(shape[0])
    mix.tokens = Int64(shape[1])
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
    mix.bias = last.bias?.floats
    mix.activation = activation.code
    mix.resultScale = resultScale?.floats
    mix.gate = gate?.floats
    (mix.gateBatchStride, mix.gateStride) = layout(gate)
    mix.residual = residual?.floats
    (mix.residualBatchStride, mix.residualStride) = layout(residual)
    mix.y = y.mutableFloats
    (mix.yBatchStride, mix.yStride) = layout(y)
    let status = withExtendedLifetime((x, gate, residual, y)) { ct_mix_columns(&mix) }
    Engine.check(status, "token mixing of \(x)")
  }

  /// How far apart matrices and rows are, if rows have no gaps.
  private static func layout(of x: Tensor) -> (batch: Int, row: Int)? {
    let (shape, strides) = (x.shape, x.strides)
    var expected = 1
    for axis in (2..<shape.count).reversed() {
      if shape[axis] != 1 && strides[axis] != expected { return nil }
      expected *= shape[axis]
    }
    return (strides[0], strides[1])
  }
}
