import Foundation
import Synchronization

/// The actor of asynchronous code that works with tensors; it runs on ``TorchThread/shared``.
///
/// libtorch keeps one pool of worker threads for each thread that calls it. Swift's cooperative
/// threads would each grow such a pool, so asynchronous code does its tensor work here:
///
/// ```swift
/// @TorchActor func classify(_ picture: Tensor) -> Tensor { model(picture) }
/// let logits = await classify(picture)
/// ```
@globalActor public actor TorchActor {
  public static let shared = TorchActor()

  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    TorchThread.shared.asUnownedSerialExecutor()
  }
}

/// A thread of its own for libtorch's work.
public final class TorchThread: SerialExecutor, Sendable {
  public static let shared = TorchThread()

  private let jobs = Mutex<[@Sendable () -> Void]>([])
  private let available = DispatchSemaphore(value: 0)

  public init(name: String = "mingle.torch") {
    let thread = Thread { [self] in
      Thread.current.name = name
      while true {
        available.wait()
        jobs.withLock { $0.removeFirst() }()
      }
    }
    thread.stackSize = 64 << 20
    thread.start()
  }

  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    submit { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }

  /// Runs `body` on this thread and waits for it; for synchronous code on a cooperative thread.
  /// Must not be called on this thread itself.
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
