import Synchronization

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Ctrl-C (or a polite kill) while something should be finished first: the first asks to stop, the
/// second ends the program at once.
enum Interruption {
  private static let count = Atomic<Int>(0)

  /// Whether the user wants to stop.
  static var isWanted: Bool { count.load(ordering: .relaxed) > 0 }

  static func watch() {
    // A program that starts this one from a worker thread may have left the signals blocked.
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGINT, SIGTERM] {
      signal(number) { _ in
        if Interruption.count.wrappingAdd(1, ordering: .relaxed).oldValue > 0 { _exit(130) }
      }
      sigaddset(&signals, number)
    }
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }
}
