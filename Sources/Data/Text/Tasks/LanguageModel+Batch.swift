import Models
import Torch

extension LanguageModel {
  /// The answers to the texts of a batch: [B, K] or [B, S, 2].
  public func logits(_ batch: TextBatch, on device: Device = .cpu) -> Tensor {
    let segments = (segmentCount ?? 0) > 1 ? batch.segments.to(device) : nil
    return logits(batch.tokens.to(device), mask: batch.mask?.to(device), segments: segments)
  }

  /// How far the rows of a batch are filled up for this model: a text's answer must not depend on the
  /// texts beside it.
  public static var textPadding: TextPadding { heedsMask ? .longest : .full }
}

extension PairEncoder {
  /// A batch of texts to be judged.
  package func batch(_ texts: [EncodedText], padding: TextPadding) -> TextBatch {
    TextBatch(
      texts, labels: nil, indices: Array(texts.indices), position: 0, padding: self.padding,
      minimumLength: padding == .full ? length : 0)
  }
}
