import Torch

/// What `body` gives on one thread, on three and on eight, be there as many cores or not. The number is
/// one of the calling thread, so that tests beside those of the actor keep theirs.
@TorchActor package func onThreads<Result>(_ body: () -> Result) -> [Result] {
  let threads = Engine.threadCount
  defer { Engine.threadCount = threads }
  return [1, 3, 8].map { count in
    Engine.threadCount = count
    return body()
  }
}
