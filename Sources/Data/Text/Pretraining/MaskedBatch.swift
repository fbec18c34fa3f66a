import Torch

/// Masked sequences for a language model. `B` sequences, `S` tokens, `M` masked tokens.
public struct MaskedBatch: Sendable {
  /// What the model sees: int64 [B, S].
  public let tokens: Tensor
  /// 1 for text, 0 for `<pad>`: int64 [B, S]; nil where there is no `<pad>`.
  public let mask: Tensor?
  /// Where the tokens to be found stand, as `b * S + s`, in rising order: int64 [M].
  public let positions: Tensor
  /// The tokens to be found: int64 [M].
  public let labels: Tensor
  /// The sequences' places in the corpus.
  public let indices: [Int]
  /// The batch's place in the epoch.
  public let position: Int

  /// `B`.
  public var count: Int { indices.count }
  /// `M`.
  public var maskedCount: Int { labels.count }
}
