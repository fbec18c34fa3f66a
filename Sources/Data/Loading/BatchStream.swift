import Synchronization
import Torch

/// The batches of an epoch in order, prepared ahead on threads. Letting go of it stops the threads.
public final class BatchStream: Sendable {
  private let batches: PreparedStream<Batch>
  private let name: String
  private let isWholeEpoch: Bool
  private let progress = Mutex(Progress())

  private struct Progress {
    var broken: [BrokenSample] = []
    /// How many of them a batch has reported.
    var reported = 0
    var hasBatch = false
  }

  init(_ loader: BatchLoader, epoch: Int, from start: Int, on device: Device) {
    name = loader.dataset.name
    isWholeEpoch = start == 0
    let order = loader.order(epoch: epoch)
    batches = PreparedStream(
      start..<loader.batchesPerEpoch, workers: loader.options.workers,
      ahead: loader.options.prefetch
    ) { try loader.batch(at: $0, epoch: epoch, order: order).moved(to: device) }
  }

  /// All samples left out so far, in the epoch's order.
  public var broken: [BrokenSample] { progress.withLock(\.broken) }

  /// Waits for the next batch; nil at the epoch's end. With `skipsBroken`, a batch of which no sample
  /// can be read is passed over.
  ///
  /// - Throws: `MingleError` that names the first sample, in the epoch's order, that cannot be
  ///   read, or the data when none of a whole epoch's samples can be; the stream then ends.
  public func next() throws -> Batch? {
    while var batch = try batches.next() {
      progress.withLock { progress in
        progress.broken += batch.broken
        guard batch.count > 0 else { return }
        batch.broken = Array(progress.broken[progress.reported...])
        progress.reported = progress.broken.count
        progress.hasBatch = true
      }
      if batch.count > 0 { return batch }
    }
    let (hasBatch, broken) = progress.withLock { ($0.hasBatch, $0.broken) }
    guard isWholeEpoch, !hasBatch, let first = broken.first, batches.hasEnded else { return nil }
    throw MingleError(
      .badData, "not one of \(broken.count) samples can be read", in: name, got: "\(first.error)")
  }
}
