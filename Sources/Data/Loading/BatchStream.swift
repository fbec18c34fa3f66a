import Foundation
import Synchronization
import Torch

/// The batches of an epoch in order, prepared ahead on threads. Letting go of it stops the threads.
public final class BatchStream: Sendable {
  private let queue: BatchQueue
  private let name: String
  private let isWholeEpoch: Bool
  private let progress = Mutex(Progress())

  private struct Progress {
    var broken: [BrokenSample] = []
    /// How many of them a batch has reported.
    var reported = 0
    var hasBatch = false
  }

  init(_ loader: BatchLoader, epoch: Int, from start: Int) {
    name = loader.dataset.name
    isWholeEpoch = start == 0
    queue = BatchQueue(start: start, end: loader.batchesPerEpoch, ahead: loader.options.prefetch)
    let order = loader.order(epoch: epoch)
    let workers = min(loader.options.workers, loader.batchesPerEpoch - start)
    for _ in 0..<workers {
      // The threads hold the queue, not the stream: its end is theirs.
      let thread = Thread { [queue] in
        while let position = queue.take() {
          let result = Result { try loader.batch(at: position, epoch: epoch, order: order) }
          queue.put(result, at: position)
        }
      }
      thread.name = "mingle.data"
      thread.start()
    }
  }

  deinit { queue.stop() }

  /// All samples left out so far, in the epoch's order.
  public var broken: [BrokenSample] { progress.withLock(\.broken) }

  /// Waits for the next batch; nil at the epoch's end. With `skipsBroken`, a batch of which no sample
  /// can be read is passed over.
  ///
  /// - Throws: `MingleError` that names the first sample, in the epoch's order, that cannot be
  ///   read, or the data when none of a whole epoch's samples can be; the stream then ends.
  public func next() throws -> Batch? {
    while let result = queue.next() {
      do {
        var batch = try result.get()
        progress.withLock { progress in
          progress.broken += batch.broken
          guard batch.count > 0 else { return }
          batch.broken = Array(progress.broken[progress.reported...])
          progress.reported = progress.broken.count
          progress.hasBatch = true
        }
        if batch.count > 0 { return batch }
      } catch {
        queue.stop()
        throw error
      }
    }
    let (hasBatch, broken) = progress.withLock { ($0.hasBatch, $0.broken) }
    guard isWholeEpoch, !hasBatch, let first = broken.first, queue.hasEnded else { return nil }
    throw MingleError(
      .badData, "not one of \(broken.count) samples can be read", in: name, got: "\(first.error)")
  }
}

/// The queue between the threads that prepare batches and the one that uses them.
///
/// The mutex holds the state; the condition only wakes waiting threads, and is locked around each
/// look at the state that may end in waiting.
private final class BatchQueue: Sendable {
  private struct State {
    /// The next position to prepare and the next to hand out.
    var prepared: Int
    var used: Int
    var results: [Int: Result<Batch, any Error>] = [:]
    var isStopped = false
  }

  private let state: Mutex<State>
  private let changed = NSCondition()
  private let end: Int
  private let ahead: Int

  init(start: Int, end: Int, ahead: Int) {
    state = Mutex(State(prepared: start, used: start))
    self.end = end
    self.ahead = ahead
  }

  /// The position of a batch to prepare; waits while enough are ready; nil when there is none left.
  func take() -> Int? {
    wait { state in
      if state.isStopped || state.prepared >= end { return .some(nil) }
      guard state.prepared - state.used < ahead else { return nil }
      state.prepared += 1
      return state.prepared - 1
    }
  }

  func put(_ result: Result<Batch, any Error>, at position: Int) {
    change { $0.results[position] = result }
  }

  /// The next batch in order; nil at the end.
  func next() -> Result<Batch, any Error>? {
    let result: Result<Batch, any Error>? = wait { state in
      if state.isStopped || state.used >= end { return .some(nil) }
      guard let result = state.results.removeValue(forKey: state.used) else { return nil }
      state.used += 1
      return result
    }
    changed.withLock { changed.broadcast() }
    return result
  }

  /// Whether every batch was handed out.
  var hasEnded: Bool { state.withLock { $0.used >= end } }

  func stop() {
    change { state in
      state.isStopped = true
      state.results = [:]
    }
  }

  private func change(_ body: (inout sending State) -> Void) {
    changed.withLock {
      state.withLock { body(&$0) }
      changed.broadcast()
    }
  }

  /// Calls `look` at each change until it gives a value.
  private func wait<Value: Sendable>(_ look: (inout State) -> Value?) -> Value {
    changed.withLock {
      while true {
        if let value = state.withLock({ look(&$0) }) { return value }
        changed.wait()
      }
    }
  }
}
