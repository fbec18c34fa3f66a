import Foundation
import Torch

/// A text file that grows line by line, and whose length is part of a run's state.
final class RunLog {
  private let path: String
  private let handle: FileHandle
  private var pending = Data()
  /// Bytes in the file once it is flushed.
  private(set) var length: UInt64

  init(_ path: String, from length: UInt64) throws {
    self.path = path
    if !FileManager.default.fileExists(atPath: path) {
      _ = FileManager.default.createFile(atPath: path, contents: nil)
    }
    guard let handle = FileHandle(forWritingAtPath: path) else {
      throw MingleError(.failed, "the log cannot be written", in: path)
    }
    self.handle = handle
    do {
      // After a power cut it may be shorter than the state says: lines are lost, the run is not.
      self.length = min(length, try handle.seekToEnd())
      try handle.truncate(atOffset: self.length)
    } catch {
      throw MingleError(.failed, "the log cannot be written (\(error))", in: path)
    }
  }

  func append(_ line: String) {
    pending.append(contentsOf: (line + "\n").utf8)
    length += UInt64(line.utf8.count + 1)
  }

  /// - Throws: `MingleError` if the disk is full.
  func flush() throws {
    guard !pending.isEmpty else { return }
    do {
      try handle.write(contentsOf: pending)
    } catch {
      throw MingleError(
        .failed, "the log cannot be written (\(error))", in: path, next: "free some space")
    }
    pending.removeAll(keepingCapacity: true)
  }
}
