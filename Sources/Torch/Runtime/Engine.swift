import CTorch
import Synchronization

/// libtorch as a whole: version, threads, live tensors, and what happens on a programmer's error.
public enum Engine {
  /// The version of libtorch that Mingle was built against, "2.13.0".
  public static var version: String { String(cString: ct_version()) }

  /// Build settings, CPU capability and thread pools, several lines.
  public static var buildDescription: String { String(cString: ct_build_description()) }

  /// The kind of processor that Mingle's kernels were chosen for: "avx2".
  package static var kernelName: String { String(cString: ct_kernel_name()) }

  /// Whether Mingle's kernels multiply bfloat16 faster than float32: whether this processor has an
  /// instruction for it.
  package static var hasBFloat16Products: Bool { ct_has_bfloat16_products() }

  /// Threads that one operator may use, at least 1.
  public static var threadCount: Int {
    get { Int(ct_threads()) }
    set { ct_set_threads(Int32(max(1, newValue))) }
  }

  /// References to tensors alive in this process; returns to its start when nothing leaks.
  public static var liveTensorCount: Int { Int(ct_live_tensors()) }

  /// Lets the process keep up to a GiB of memory that was freed, for what it makes next: training steps
  /// take three to four percent less time. For programs that do nothing else; `mingle` calls it.
  public static func keepFreedMemory() { ct_keep_memory() }

  private static let failureHandler = Mutex<(@Sendable (String) -> Never)?>(nil)

  /// Replaces the trap that ends the program when an operator fails (a programmer's error, or no
  /// memory left), so that a tool can end with a message and an exit code of its own.
  public static func onFailure(_ handler: @escaping @Sendable (String) -> Never) {
    failureHandler.withLock { $0 = handler }
  }

  static func fail(_ message: String) -> Never {
    if let handler = failureHandler.withLock({ $0 }) { handler(message) }
    preconditionFailure(message)
  }

  /// Done once, before the first operator is looked up.
  static let start: Void = ct_share_cores()

  static var lastError: String { String(cString: ct_last_error()) }

  /// Ends the program if `status` tells of a failure.
  static func check(_ status: Int32, _ operation: @autoclosure () -> String) {
    if status != 0 { fail("\(operation()): \(lastError)") }
  }
}
