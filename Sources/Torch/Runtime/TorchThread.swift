import Foundation
import Synchronization

/// The actor of asynchronous code that works with tensors; it runs on a thread of its own.
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
final class TorchThread: SerialExecutor, Sendable {
  static let shared = TorchThread()

  private let jobs = Mutex<[@Sendable () -> Void]>([])
  private let available = DispatchSemaphore(value: 0)

  private init() {
    let thread = Thread { [self] in
      Thread.current.name = "mingle.torch"
      while true {
        available.wait()
        jobs.withLock { $0.removeFirst() }()
      }
    }
    thread.stackSize = 64 << 20
    thread.start()
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    jobs.withLock { $0.append { job.runSynchronously(on: self.asUnownedSerialExecutor()) } }
    available.signal()
  }
}
