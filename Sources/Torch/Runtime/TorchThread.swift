import Foundation
import Synchronization

/// A thread of its own for libtorch's work.
///
/// libtorch keeps one pool of worker threads for each thread that calls it. Swift's cooperative
/// threads would each grow such a pool, so asynchronous code hands its tensor work to this thread:
///
/// ```swift
/// await withTaskExecutorPreference(TorchThread.shared) { await train() }
/// let y = TorchThread.shared.run { model(x) }       // from synchronous code; waits
/// ```
public final class TorchThread: TaskExecutor, Sendable {
  public static let shared = TorchThread()

  private let jobs = Mutex<[@Sendable () -> Void]>([])
  private let available = DispatchSemaphore(value: 0)

  public init(name: String = "mingle.torch") {
    let thread = Thread { [self] in
      while true {
        available.wait()
        jobs.withLock { $0.removeFirst() }()
      }
    }
    thread.name = name
    thread.stackSize = 64 << 20
    thread.start()
  }

  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    submit { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }

  /// Runs `body` on this thread and waits for it. Must not be called on this thread.
  public func run<Success: Sendable>(
    _ body: @escaping @Sendable () throws -> Success
  ) throws -> Success {
    let done = DispatchSemaphore(value: 0)
    let outcome = Mutex<Result<Success, any Error>?>(nil)
    submit {
      let result = Result { try body() }
      outcome.withLock { $0 = result }
      done.signal()
    }
    done.wait()
    guard let result = outcome.withLock({ $0 }) else { Engine.fail("a job left no result") }
    return try result.get()
  }

  private func submit(_ job: @escaping @Sendable () -> Void) {
    jobs.withLock { $0.append(job) }
    available.signal()
  }
}
