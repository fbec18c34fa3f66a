import Torch

/// A safetensors file, memory-mapped: opening reads the header, and a tensor borrows its bytes.
///
/// Format: <https://github.com/huggingface/safetensors>.
public struct Safetensors: TensorArchive {
  private let file: MappedFile
  private let header: SafetensorsHeader

  /// Maps the file and checks its header.
  ///
  /// - Throws: `MingleError` (`missingInput`) when there is no such file, (`badData`) when it is not
  ///   a valid safetensors file or has a dtype that Mingle does not read.
  public init(at path: String) throws { try self.init(MappedFile(path)) }

  init(_ file: MappedFile) throws {
    self.file = file
    header = try SafetensorsHeader(reading: file)
  }

  /// The file.
  public var path: String { file.path }
  /// All tensors, in the file's order.
  public var names: [String] { header.names }
  /// What the header says of the file besides its tensors (`__metadata__`); empty where it says nothing.
  public var metadata: [String: String] { header.metadata }

  /// As the header tells it.
  ///
  /// - Throws: `MingleError` (`badData`) when the file has no such tensor.
  public func shape(of name: String) throws -> [Int] { try entry(name).shape }

  /// As the header tells it.
  ///
  /// - Throws: `MingleError` (`badData`) when the file has no such tensor.
  public func dtype(of name: String) throws -> DType { try entry(name).dtype }

  /// The tensor, in the mapped file where it may lie there.
  ///
  /// - Throws: `MingleError` (`badData`) when the file has no such tensor, or its data is
  /// damaged.
  public func tensor(named name: String) throws -> Tensor {
    let entry = try entry(name)
    return try file.tensor(
      at: entry.bytes.lowerBound, shape: entry.shape, dtype: entry.dtype, name: name)
  }

  private func entry(_ name: String) throws -> SafetensorsHeader.Entry {
    guard let entry = header.entries[name] else { throw missing(name) }
    return entry
  }
}
