import Foundation
import Torch

/// Keeps a second process from training the same run; the system takes it back when this one ends.
final class RunLock {
  private let descriptor: CInt

  /// - Throws: `MingleError` if another process trains the run in the folder `path`.
  init(_ path: String) throws {
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw MingleError(.failed, "the run's folder cannot be opened", in: path)
    }
    // Network folders may not know locks: the run goes on without.
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK else {
      close(descriptor)
      throw MingleError(
        .failed, "another process trains this run", in: path,
        next: "wait for it, or name another folder")
    }
  }

  deinit { close(descriptor) }
}
