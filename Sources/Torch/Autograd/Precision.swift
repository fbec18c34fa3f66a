/// The precision of a network's matrix products; everything else is computed in float32.
public enum Precision: String, Codable, Sendable, CaseIterable {
  case float32 = "fp32"
  /// Products of weights and activations that are rounded to bfloat16.
  case bfloat16 = "bf16"

  /// The type for ``withAutocast(_:on:_:)``; nil for none.
  public var autocast: DType? { self == .bfloat16 ? .bfloat16 : nil }
}
