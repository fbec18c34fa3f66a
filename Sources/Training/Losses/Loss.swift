import Models
import Torch

/// What training makes small; a mean over the batch, in float32 also under autocast (float64 for
/// float64 logits). `B` batch, `K` classes, z logits, y targets.
public enum Loss: String, Codable, Sendable, CaseIterable {
  /// Softmax cross-entropy: each picture is of one class, or has shares of classes.
  ///
  ///     -sum over k of y_k * log softmax(z)_k
  case softmax

  /// Sigmoid cross-entropy: each class is a question of its own.
  ///
  ///     -sum over k of y_k * log sigmoid(z_k) + (1 - y_k) * log(1 - sigmoid(z_k))
  ///
  /// Summed over classes, as in big_vision's recipe of MLP-Mixer, not their mean as in timm's
  /// binary cross-entropy; that recipe starts the head's bias at -ln K.
  case sigmoid

  /// How logits trained with this loss become scores.
  var scores: ClassScores { self == .softmax ? .softmax : .sigmoid }

  /// The loss of logits [B, K] as a scalar.
  ///
  /// - Parameters:
  ///   - labels: the class of each picture, from 0 up to K: [B] int64.
  ///   - targets: shares of classes in their place, [B, K], as Mixup and CutMix make them.
  ///   - labelSmoothing: the share s of the label's weight that all classes divide equally:
  ///     `y = (1 - s) * onehot + s / K` (Szegedy et al. 2016). `targets` are taken as they are.
  public func callAsFunction(
    _ logits: Tensor, _ labels: Tensor, _ targets: Tensor? = nil, labelSmoothing: Double = 0
  ) -> Tensor {
    precondition(
      logits.rank == 2 && (targets?.shape ?? logits.shape) == logits.shape
        && (targets != nil || labels.shape == [logits.shape[0]]),
      "logits \(logits) with labels \(labels) and targets \(targets.map { "\($0)" } ?? "none")")
    let logits = logits.dtype == .float64 ? logits : logits.to(.float32)
    let classCount = logits.shape[1]
    switch self {
    case .softmax:
      if let targets { return logits.crossEntropy(targets.to(logits.dtype)) }
      return logits.crossEntropy(labels, labelSmoothing: labelSmoothing)
    case .sigmoid:
      let hard = { labels.oneHot(classCount).to(logits.dtype) }
      let targets =
        targets?.to(logits.dtype)
        ?? hard() * (1 - labelSmoothing) + labelSmoothing / Double(classCount)
      return logits.binaryCrossEntropy(targets) * Double(classCount)
    }
  }
}
