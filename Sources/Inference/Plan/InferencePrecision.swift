import Torch

/// The precision of a prediction's matrix products; everything else is computed in float32.
public enum InferencePrecision: String, Codable, Sendable, CaseIterable {
  case float32 = "fp32"
  /// A plan's weights rounded to bfloat16, and activations too where products of such numbers are faster
  /// than those of float32.
  case bfloat16 = "bf16"
  /// Products of bytes, where a plan has them: weights in 8 bits of their row's range, activations in
  /// 8 bits of their own as they come, or of that of a ``Calibration``. Layers whose results would suffer
  /// have weights in bfloat16.
  case int8

  /// That of products that are not of bytes.
  public var others: Precision { self == .float32 ? .float32 : .bfloat16 }

  /// How far a plan's results may be from those computed as written, over the largest of them.
  var tolerance: Double {
    switch self {
    case .float32: 1e-4
    case .bfloat16: 0.05
    case .int8: 0.25
    }
  }

  /// As what kernels multiply that do not multiply bytes.
  var kernelFormat: PackedWeight.Format {
    others == .bfloat16 && Engine.hasBFloat16Products ? .bfloat16 : .float32
  }
}
