import Torch

/// How far the rows of a batch are filled up with `<pad>`.
public enum TextPadding: String, Codable, Sendable, CaseIterable {
  /// To the longest text of the batch. Texts of similar length share a batch, so that little is
  /// wasted. For models that take no notice of padding, or are trained so.
  case longest
  /// To the model's length. A text's result then does not depend on its batch, whatever the model
  /// makes of padding.
  case full
}

/// Encoded texts for a model. `B` texts, `S` tokens of the longest.
public struct TextBatch: Sendable {
  /// int64 [B, S].
  public let tokens: Tensor
  /// 0 for the first text, 1 for the second and its `<sep>`, 0 for `<pad>`: int64 [B, S].
  public let segments: Tensor
  /// 1 for text, 0 for `<pad>`: int64 [B, S]; nil where there is no `<pad>`.
  public let mask: Tensor?
  /// The places of the classes, int64 [B], or the values, float32 [B]; nil without labels.
  public let labels: Tensor?
  /// The texts' places in the data.
  public let indices: [Int]
  /// The batch's place in the epoch.
  public let position: Int

  /// `B`.
  public var count: Int { indices.count }

  init(
    _ texts: [EncodedText], labels: Tensor?, indices: [Int], position: Int, padding: Int32,
    minimumLength: Int = 0
  ) {
    let length = texts.reduce(minimumLength) { max($0, $1.tokens.count) }
    var tokens: [Int64] = []
    var segments: [Int64] = []
    tokens.reserveCapacity(texts.count * length)
    segments.reserveCapacity(texts.count * length)
    for text in texts {
      let rest = length - text.tokens.count
      tokens.append(contentsOf: text.tokens.lazy.map { Int64($0) })
      tokens.append(contentsOf: repeatElement(Int64(padding), count: rest))
      segments.append(contentsOf: repeatElement(0, count: text.firstCount))
      segments.append(contentsOf: repeatElement(1, count: text.tokens.count - text.firstCount))
      segments.append(contentsOf: repeatElement(0, count: rest))
    }
    let shape = [texts.count, length]
    self.tokens = Tensor(tokens, shape: shape)
    self.segments = Tensor(segments, shape: shape)
    mask = maskTensor(texts.map(\.tokens.count), length: length)
    self.labels = labels
    self.indices = indices
    self.position = position
  }
}
