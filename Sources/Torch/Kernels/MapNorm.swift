import CTorch

/// What makes maps of maps without a matrix product.
package protocol MapKernel: Sendable {
  /// - Parameters:
  ///   - x: [B, C, ...], as ``ColumnMix/accepts(_:)`` has it.
  ///   - y: for the results, without gaps; not x.
  func callAsFunction(_ x: Tensor, into y: Tensor)
}

/// Group norm with one group, and what follows it, in two passes over the CPU's float32 memory:
/// `activation(n(x) * gain + shift)`, where `n` brings each map to zero mean and unit variance.
package struct MapNorm: MapKernel {
  private let epsilon: Double
  private let gain: Tensor?
  private let shift: Tensor?
  private let activation: KernelActivation

  /// - Parameters:
  ///   - gain: for each of the C channels, as `shift`.
  package init(epsilon: Double, gain: Tensor?, shift: Tensor?, activation: KernelActivation) {
    self.epsilon = epsilon
    self.gain = gain?.to(.float32).contiguous()
    self.shift = shift?.to(.float32).contiguous()
    self.activation = activation
  }

  /// - Parameters:
  ///   - x: [B, C, ...], as ``ColumnMix/accepts(_:)`` has it.
  ///   - y: [B, C, ...], for the results, without gaps; not x.
  package func callAsFunction(_ x: Tensor, into y: Tensor) {
    guard let (mapStride, stride) = ColumnMix.layout(of: x) else {
      Engine.fail("norm of memory without even rows: \(x)")
    }
    precondition(x.shape == y.shape && y.isContiguous)
    var norm = CTMapNorm()
    norm.maps = Int64(x.shape[0])
    norm.channels = Int64(x.shape[1])
    norm.positions = Int64(x.shape[2...].reduce(1, *))
    norm.x = x.floats
    (norm.xMapStride, norm.xStride) = (Int64(mapStride), Int64(stride))
    norm.epsilon = Float(epsilon)
    (norm.gain, norm.shift) = (gain?.floats, shift?.floats)
    norm.activation = activation.code
    norm.y = y.mutableFloats
    let status = withExtendedLifetime((x, y)) { ct_normalize_maps(&norm) }
    Engine.check(status, "norm of \(x)")
  }
}
