/// The precision of a network's matrix products; everything else is computed in float32.
public enum Precision: String, Codable, Sendable, CaseIterable {
  case float32 = "fp32"
  /// Products of weights and activations that are rounded to bfloat16.
  case bfloat16 = "bf16"

  /// The type for ``withAutocast(_:on:_:)``; nil for none.
  public var autocast: DType? { self == .bfloat16 ? .bfloat16 : nil }

  /// What products are computed in on `device` where this precision is asked for: float32 instead of
  /// bfloat16 on a processor that multiplies it faster, as one without instructions for bfloat16 does.
  /// Measured once in a process, by a product of some milliseconds.
  public func products(on device: Device) -> Precision {
    self == .bfloat16 && device.kind == .cpu && !Self.processorHasBFloat16 ? .float32 : self
  }

  private static let processorHasBFloat16: Bool = {
    func time(_ dtype: DType) -> Duration {
      let factor = Tensor.zeros([512, 512], dtype: dtype)
      return withoutGradients {
        (0..<4).map { _ in ContinuousClock().measure { _ = factor.matmul(factor) } }.min() ?? .zero
      }
    }
    return time(.bfloat16) < time(.float32)
  }()
}
