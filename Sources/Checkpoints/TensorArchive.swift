import Torch

/// A file of named tensors.
///
/// Opening reads names, shapes and dtypes; a tensor's elements are read when it is asked for.
public protocol TensorArchive: Sendable {
  /// The file.
  var path: String { get }
  /// All tensors, in the file's order.
  var names: [String] { get }
  /// Texts that travel with the tensors; empty where the format has none.
  var metadata: [String: String] { get }

  /// - Throws: `MingleError` (`badData`) when the file has no such tensor.
  func shape(of name: String) throws -> [Int]

  /// - Throws: `MingleError` (`badData`) when the file has no such tensor.
  func dtype(of name: String) throws -> DType

  /// The tensor on the CPU.
  ///
  /// It may borrow the archive's memory, as may another one, of this name or a view of the same
  /// storage: copy it before changing it in place. The file never changes.
  ///
  /// - Throws: `MingleError` (`badData`) when the file has no such tensor, or its data is damaged.
  func tensor(named name: String) throws -> Tensor
}

extension TensorArchive {
  /// All tensors by name.
  ///
  /// - Throws: `MingleError` (`badData`) when a tensor's data is damaged.
  public func tensors() throws -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    for name in names { result[name] = try tensor(named: name) }
    return result
  }

  func missing(_ name: String) -> MingleError {
    let some = names.prefix(3).joined(separator: ", ") + (names.count > 3 ? ", ..." : "")
    return MingleError(
      .badData, "the file has no tensor '\(name)'", in: path,
      got: names.isEmpty ? "no tensors" : some)
  }
}

/// Opens a file of tensors; its first bytes, not its name, tell the format.
///
/// - Throws: `MingleError` (`missingInput`) when there is no such file, (`badData`) when it is
///   damaged or of a format that Mingle does not read.
public func openTensorArchive(at path: String) throws -> any TensorArchive {
  let file = try MappedFile(path)
  let start = try file.bytes(in: 0..<min(file.count, 64))
  let text = String(decoding: start, as: UTF8.self).lowercased()

  func unreadable(_ what: String, _ next: String) -> MingleError {
    MingleError(
      .badData, what, in: path, expected: "safetensors, npz or a PyTorch file", next: next)
  }
  if start.starts(with: Array("PK".utf8)) || path.hasSuffix(".npz") {
    let zip = try ZipReader(file)
    let isPyTorch = zip.members.contains(where: PyTorchArchive.isPickle)
    return isPyTorch ? try PyTorchArchive(zip) : try NumpyArchive(zip)
  }
  if LegacyPyTorch.begins(start) { return try PyTorchArchive(legacy: file) }
  if (start.count > 8 && start[8] == UInt8(ascii: "{")) || path.hasSuffix(".safetensors") {
    return try Safetensors(file)
  }
  if start.count > 1, start[0] == 0x80, (2...5).contains(start[1]) {
    throw unreadable(
      "a Python pickle that torch.save did not write", "in Python, save it with torch.save")
  }
  if start.starts(with: ArrayHeader.magic) {
    throw unreadable("a single NumPy array (.npy)", "save it under a name with numpy.savez")
  }
  if text.hasPrefix("version https://git-lfs") {
    throw unreadable("a Git LFS pointer instead of the file", "run: git lfs pull")
  }
  if text.hasPrefix("<!doctype html") || text.hasPrefix("<html") {
    throw unreadable("a web page instead of the file", "download the file itself")
  }
  throw unreadable(
    file.count == 0 ? "an empty file" : "a file of an unknown format",
    "check the path, or convert the file to safetensors")
}
