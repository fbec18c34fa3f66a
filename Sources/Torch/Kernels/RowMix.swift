import CTorch

/// Channel mixing in one pass: `activation(f(x) W^T + b) * gate + residual` for each row of the CPU's
/// float32 memory, where `f` normalises the row and applies a hidden layer, if there are such.
package struct RowMix: Sendable {
  private let epsilon: Double?
  private var hidden: PackedWeight?
  private let hiddenActivation: KernelActivation
  private var last: PackedWeight
  private let activation: KernelActivation

  /// - Parameters:
  ///   - epsilon: of the normalisation to zero mean and unit variance; nil for none.
  ///   - hidden: weight [F, I] and bias [F] of the layer before, and what follows it.
  ///   - weight: [O, I], or [O, F] with a hidden layer.
  ///   - bias: [O]
  package init(
    epsilon: Double?, hidden: (weight: Tensor, bias: Tensor?, activation: KernelActivation)?,
    weight: Tensor, bias: Tensor?, activation: KernelActivation,
    format: PackedWeight.Format = .float32
  ) {
    self.epsilon = epsilon
    hiddenActivation = hidden?.activation ?? .identity
    (self.hidden, last) = PackedWeight.panels(
      hidden: hidden.map { ($0.weight, $0.bias) }, (weight, bias), format)
    self.activation = activation
  }

  /// The same kernel, whose products of bytes take activations in known ranges.
  package func taking(_ ranges: ActivationRanges) -> RowMix {
    var mix = self
    mix.hidden?.range = ranges.input
    mix.last.range = hidden == nil ? ranges.input : ranges.hidden
    return mix
  }

  /// Whether products of some rows are added to those of others, so that what is no number in one of them
  /// reaches the others.
  package var addsRows: Bool { last.format == .strassen }

  /// Whether `x` can be read where it lies.
  package static func accepts(_ x: Tensor) -> Bool {
    x.dtype == .float32 && x.device == .cpu && x.rowStride(trailing: 1) != nil
  }

  /// - Parameters:
  ///   - x: [..., I]
  ///   - gate: and `residual`: [..., O]
  ///   - y: [..., O], for the results; may be the residual.
  package func callAsFunction(_ x: Tensor, gate: Tensor?, residual: Tensor?, into y: Tensor) {
    let depth = (hidden ?? last).depth
    func stride(_ tensor: Tensor?) -> Int64 {
      guard let tensor else { return 0 }
      guard let stride = tensor.rowStride(trailing: 1) else {
        Engine.fail("channel mixing of memory without even rows: \(tensor)")
      }
      return Int64(stride)
    }
    precondition(x.shape[x.rank - 1] == depth && y.shape[y.rank - 1] == last.rows)
    var mix = CTRowMix()
    mix.rows = Int64(x.count / max(1, depth))
    mix.depth = Int64(depth)
    mix.hidden = Int64(hidden?.rows ?? 0)
    mix.columns = Int64(last.rows)
    mix.x = x.floats
    mix.xStride = stride(x)
    mix.normalizes = epsilon != nil
    mix.epsilon = Float(epsilon ?? 0)
    if let hidden { (mix.hiddenWeight, mix.hiddenBytes) = hidden.pointers }
    mix.hiddenBias = hidden?.bias?.floats
    mix.hiddenActivation = hiddenActivation.code
    (mix.weight, mix.weightBytes) = last.pointers
    mix.bfloat16 = last.format == .bfloat16
    mix.strassen = last.format == .strassen
    mix.bias = last.bias?.floats
    mix.activation = activation.code
    mix.gate = gate?.floats
    mix.gateStride = stride(gate)
    mix.residual = residual?.floats
    mix.residualStride = stride(residual)
    mix.y = y.mutableFloats
    mix.yStride = stride(y)
    let status = withExtendedLifetime((x, gate, residual, y)) { ct_mix_rows(&mix) }
    Engine.check(status, "channel mixing of \(x)")
  }
}
