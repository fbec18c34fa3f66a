import Foundation
import Synchronization

/// Elements in the order of their positions, prepared ahead on threads. Letting go of it stops the
/// threads.
public final class PreparedStream<Element: Sendable>: Sendable {
  private let queue: PreparationQueue<Element>

  /// - Parameters:
  ///   - workers: Threads that prepare.
  ///   - ahead: The most elements that are prepared before the one in use.
  ///   - prepare: Makes the element of a position; called once for each, on any of the threads.
  init(
    _ positions: Range<Int>, workers: Int, ahead: Int,
    prepare: @escaping @Sendable (_ position: Int) throws -> Element
  ) {
    queue = PreparationQueue(positions, ahead: ahead)
    for _ in 0..<min(workers, positions.count) {
      // The threads hold the queue, not the stream: its end is theirs.
      let thread = Thread { [queue] in
        while let position = queue.take() {
          queue.put(Result { try prepare(position) }, at: position)
        }
      }
      thread.name = "mingle.data"
      thread.start()
    }
  }

  deinit { queue.stop() }

  /// Waits for the next element; nil at the end.
  ///
  /// - Throws: What preparing it threw; the stream then ends.
  public func next() throws -> Element? {
    do {
      return try queue.next()?.get()
    } catch {
      queue.stop()
      throw error
    }
  }

  /// Whether every element was handed out.
  var hasEnded: Bool { queue.hasEnded }
}

/// The queue between the threads that prepare elements and the one that uses them.
///
/// The mutex holds the state; the condition only wakes waiting threads, and is locked around each
/// look at the state that may end in waiting.
private final class PreparationQueue<Element: Sendable>: Sendable {
  private struct State {
    /// The next position to prepare and the next to hand out.
    var prepared: Int
    var used: Int
    var results: [Int: Result<Element, any Error>] = [:]
    var isStopped = false
  }

  private let state: Mutex<State>
  private let changed = NSCondition()
  private let end: Int
  private let ahead: Int

  init(_ positions: Range<Int>, ahead: Int) {
    state = Mutex(State(prepared: positions.lowerBound, used: positions.lowerBound))
    end = positions.upperBound
    self.ahead = ahead
  }

  /// The position of an element to prepare; waits while enough are ready; nil when there is none
  /// left.
  func take() -> Int? {
    wait { state in
      if state.isStopped || state.prepared >= end { return .some(nil) }
      guard state.prepared - state.used < ahead else { return nil }
      state.prepared += 1
      return state.prepared - 1
    }
  }

  func put(_ result: Result<Element, any Error>, at position: Int) {
    change { $0.results[position] = result }
  }

  /// The next element in order; nil at the end.
  func next() -> Result<Element, any Error>? {
    let result: Result<Element, any Error>? = wait { state in
      if state.isStopped || state.used >= end { return .some(nil) }
      guard let result = state.results.removeValue(forKey: state.used) else { return nil }
      state.used += 1
      return result
    }
    changed.withLock { changed.broadcast() }
    return result
  }

  /// Whether every element was handed out.
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
