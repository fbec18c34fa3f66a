import Checkpoints
import Torch

/// A file's bytes: mapped, or unpacked when it is a gzip file.
struct FileContents: Sendable {
  private enum Storage: Sendable {
    case mapped(MappedFile)
    case unpacked([UInt8])
  }

  /// The most that a gzip file may hold.
  private static let unpackedLimit = 4 << 30

  let path: String
  private let storage: Storage

  init(_ path: String) throws {
    let file = try MappedFile(path)
    self.path = path
    storage = try file.withUnsafeBytes { bytes in
      guard isGzip(bytes) else { return .mapped(file) }
      return .unpacked(try gunzip(bytes, limit: Self.unpackedLimit, path: path))
    }
  }

  func withUnsafeBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    switch storage {
    case .mapped(let file): try file.withUnsafeBytes(body)
    case .unpacked(let bytes): try bytes.withUnsafeBytes(body)
    }
  }
}
