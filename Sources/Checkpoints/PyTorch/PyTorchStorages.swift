import Synchronization
import Torch

/// The elements of a PyTorch file's storages, read when a tensor asks for them.
///
/// Where alignment and byte order allow, a storage is the mapped file itself; else it is copied
/// once. Either way, tensors that shared a storage when they were saved share it again.
final class PyTorchStorages: Sendable {
  /// Where a storage's bytes are.
  struct Place: Sendable {
    let range: Range<Int>
    /// How many bytes there are when unpacked.
    let count: Int
    /// The zip member that holds them; nil in the older format.
    let member: ZipReader.Member?
  }

  let file: MappedFile
  private let zip: ZipReader?
  private let places: [String: Place]
  private let isBigEndian: Bool
  /// Vectors of all elements.
  private let loaded = Mutex<[PickledStorage: Tensor]>([:])

  init(file: MappedFile, zip: ZipReader?, places: [String: Place], isBigEndian: Bool) {
    self.file = file
    self.zip = zip
    self.places = places
    self.isBigEndian = isBigEndian
  }

  /// Checks that the file holds the storages of these tensors, and that rearranging their elements
  /// takes no more memory than an honest file could ask for.
  ///
  /// - Throws: `MingleError` (`badData`), naming the tensor.
  func check(_ tensors: StateDictionary) throws {
    func failure(_ what: String, expected: String? = nil, got: String? = nil) -> MingleError {
      MingleError(
        .badData, what, in: file.path, expected: expected, got: got, next: damagedFileAdvice)
    }
    var rearranged = 0.0
    for name in tensors.names {
      guard let view = tensors.tensors[name], !view.isEmpty else { continue }
      let storage = view.storage
      guard let place = places[storage.key] else {
        throw failure("the storage '\(storage.key.prefix(100))' of tensor '\(name)' is missing")
      }
      guard let count = storage.dtype.byteCount(of: [storage.count]), count <= place.count else {
        throw failure(
          "the storage '\(storage.key.prefix(100))' of tensor '\(name)' is too short",
          expected: "\(storage.count) elements of \(storage.dtype.name)",
          got: "\(place.count) bytes")
      }
      if !view.isContiguous { rearranged += Double(view.byteCount) }
    }
    // Views of a few bytes can be as large as one likes.
    guard rearranged <= 0x1p30 + Double(file.count) else {
      throw failure(
        "the views in a file of \(file.count) bytes would take \(Int(rearranged / 0x1p20)) MB")
    }
  }

  /// A checked tensor; `name` is for messages.
  func tensor(_ view: TensorView, name: String) throws -> Tensor {
    guard !view.isEmpty else { return .empty(view.shape, dtype: view.storage.dtype) }
    let all = try loaded.withLock { loaded in
      if let all = loaded[view.storage] { return all }
      let all = try elements(of: view.storage, name: name)
      loaded[view.storage] = all
      return all
    }
    return all.strided(view.shape, strides: view.strides, offset: view.offset).contiguous()
  }

  private func elements(of storage: PickledStorage, name: String) throws -> Tensor {
    let (dtype, count) = (storage.dtype, storage.count)
    guard let place = places[storage.key], let byteCount = dtype.byteCount(of: [count]),
      byteCount <= place.count
    else {
      throw MingleError(
        .badData, "the storage of tensor '\(name)' is missing", in: file.path,
        next: damagedFileAdvice)
    }
    let isSwapped = isBigEndian && dtype.byteCount > 1
    guard let zip, let member = place.member, member.isCompressed || isSwapped else {
      if let zip, let member = place.member { try zip.checkStored(member) }
      return try file.tensor(at: place.range.lowerBound, shape: [count], dtype: dtype, name: name)
    }
    var bytes = try zip.bytes(of: member)
    bytes.removeLast(bytes.count - byteCount)
    if isSwapped { bytes.swapByteOrder(ofElementsOf: dtype.byteCount) }
    return try bytes.withUnsafeBytes { bytes in
      if dtype == .bool { try checkBooleans(bytes, name: name, path: file.path) }
      return Tensor(copying: bytes, shape: [count], dtype: dtype)
    }
  }
}
