import Torch

/// An elementwise non-linearity, by name.
public enum Activation: String, Codable, Sendable, CaseIterable {
  /// `x Phi(x)` with the exact normal distribution function (Hendrycks and Gimpel 2016).
  case gelu
  /// GELU's tanh approximation, the default of Flax; differs from the exact form by up to 4.7e-4.
  case geluTanh = "gelu_tanh"
  case relu
  /// `x sigmoid(x)` (Hendrycks and Gimpel 2016; as "swish" Ramachandran et al. 2017).
  case silu

  public func callAsFunction(_ x: Tensor) -> Tensor {
    switch self {
    case .gelu: x.gelu()
    case .geluTanh: x.gelu(approximate: true)
    case .relu: x.relu()
    case .silu: x.silu()
    }
  }
}
