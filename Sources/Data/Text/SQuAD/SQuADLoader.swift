import Torch

/// Windows for a model. `B` windows, `S` tokens of the longest.
public struct SQuADBatch: Sendable {
  /// Tokens, segments, mask; `labels` is nil, `indices` are the windows' places.
  public let texts: TextBatch
  /// First token of the answer, last token: int64 [B, 2]; nil for what is to be answered.
  public let spans: Tensor?

  public var indices: [Int] { texts.indices }
  public var position: Int { texts.position }
  /// `B`.
  public var count: Int { texts.count }
}

/// Forms batches of windows, on threads of its own; see ``TextLoader`` for order and resuming.
public final class SQuADLoader: Sendable {
  public let data: SQuADWindows
  public let options: LoaderOptions
  public let padding: TextPadding

  /// - Throws: `MingleError` as ``TextLoader/init(_:options:padding:)`` does.
  public init(
    _ data: SQuADWindows, options: LoaderOptions, padding: TextPadding = .longest
  ) throws {
    try options.validate(sampleCount: data.windows.count, in: data.data.name)
    self.data = data
    self.options = options
    self.padding = padding
  }

  public var batchesPerEpoch: Int { options.batchCount(of: data.windows.count) }

  /// The batches of an epoch from position `start` on.
  public func batches(epoch: Int, from start: Int = 0) -> PreparedStream<SQuADBatch> {
    precondition(
      epoch >= 0 && (0...batchesPerEpoch).contains(start),
      "batch \(start) of \(batchesPerEpoch) in epoch \(epoch)")
    let lengths = padding == .longest ? data.windows.map(\.text.tokens.count) : nil
    let buckets = LengthBuckets(
      count: data.windows.count, lengths: lengths, options: options, epoch: epoch)
    return PreparedStream(
      start..<batchesPerEpoch, workers: options.workers, ahead: options.prefetch
    ) { [self] in batch(buckets.batches[$0], position: $0) }
  }

  private func batch(_ indices: [Int], position: Int) -> SQuADBatch {
    let windows = indices.map { data.windows[$0] }
    let targets = windows.compactMap(\.target).flatMap { [Int64($0.start), Int64($0.end)] }
    return SQuADBatch(
      texts: TextBatch(
        windows.map(\.text), labels: nil, indices: indices, position: position,
        padding: data.encoder.padding,
        minimumLength: padding == .full ? data.encoder.length : 0),
      spans: targets.count == 2 * indices.count
        ? Tensor(targets, shape: [indices.count, 2]) : nil)
  }
}
