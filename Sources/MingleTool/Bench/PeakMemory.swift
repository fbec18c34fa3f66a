#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// The most memory that this process held so far, in bytes; 0 where the system does not tell.
func peakMemory() -> Int {
  var usage = rusage()
  guard getrusage(who, &usage) == 0 else { return 0 }
  #if canImport(Darwin)
    return usage.ru_maxrss  // bytes there, kilobytes elsewhere
  #else
    return usage.ru_maxrss * 1024
  #endif
}

#if canImport(Glibc)
  private let who = __rusage_who_t(RUSAGE_SELF.rawValue)
#else
  private let who = RUSAGE_SELF
#endif
