import Torch

/// How a classifier's logits become scores of its classes; it travels with the weights.
public enum ClassScores: String, Codable, Sendable, CaseIterable {
  /// A picture is of one class: scores sum to 1.
  case softmax
  /// Each class is a question of its own: every score is between 0 and 1.
  case sigmoid

  /// Logits [B, K] -> scores [B, K].
  public func callAsFunction(_ logits: Tensor) -> Tensor {
    switch self {
    case .softmax: logits.softmax(-1)
    case .sigmoid: logits.sigmoid()
    }
  }
}
