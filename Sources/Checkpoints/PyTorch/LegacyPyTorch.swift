import Torch

/// The format of PyTorch before 1.6, also written by `_use_new_zipfile_serialization=False`.
///
/// The file is five pickles (a magic number, the protocol's version 1001, the machine that wrote it,
/// the object, the keys of the storages) and then, for each key, the number of elements (8 bytes)
/// and the elements. All numbers are little-endian, whatever the machine says.
struct LegacyPyTorch {
  let pickle: Pickle
  let places: [String: PyTorchStorages.Place]

  /// Whether a file begins so.
  static func begins(_ start: [UInt8]) -> Bool {
    // The number 0x1950a86a20f9469cfc6c, in protocol 1 as text and later as bytes.
    if start.starts(with: Array("L119547037146038801333356L\n.".utf8)) { return true }
    let magic: [UInt8] = [
      0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e,
    ]
    guard start.count > 2, start[0] == PickleOperation.protocolVersion.rawValue else {
      return false
    }
    let isFramed = start[2] == PickleOperation.frame.rawValue
    return start.dropFirst(isFramed ? 11 : 2).starts(with: magic)
  }

  /// Reads the pickles and finds the storages.
  ///
  /// - Throws: `MingleError` (`badData`) for a damaged file, or one that holds more than weights.
  init(_ file: MappedFile) throws {
    (pickle, places) = try file.withUnsafeBytes { bytes in
      var position = 0
      func next() throws -> Pickle {
        try Unpickler.load(bytes, at: &position, path: file.path)
      }
      func failure(
        _ what: String, expected: String? = nil, got: String? = nil
      ) -> MingleError {
        MingleError(
          .badData, what, in: file.path, expected: expected, got: got, next: damagedFileAdvice)
      }

      _ = try next()
      guard case .integer(1001) = try next().root, case .dictionary = try next().root else {
        throw failure("a PyTorch file of an unknown version", expected: "protocol 1001")
      }
      let pickle = try next()
      let keys = try next()
      guard let keys = keys.objects.elements(keys.root) else {
        throw failure("no list of the storages")
      }

      var places: [String: PyTorchStorages.Place] = [:]
      for key in keys {
        guard let key = key.text, let storage = pickle.objects.storagesByKey[key] else {
          throw failure("a storage that no tensor uses")
        }
        let name = "storage '\(key.prefix(100))'"
        guard let count = bytes.integer(at: position, as: Int64.self) else {
          throw failure("the file ends before \(name)")
        }
        guard count == storage.count, let byteCount = storage.dtype.byteCount(of: [storage.count])
        else {
          throw failure(
            "\(name) has another length than its tensors tell", expected: "\(storage.count)",
            got: "\(count)")
        }
        position += 8
        guard byteCount <= bytes.count - position else {
          throw failure(
            "the file ends within \(name)", expected: "\(byteCount) bytes",
            got: "\(bytes.count - position)")
        }
        let place = PyTorchStorages.Place(
          range: position..<position + byteCount, count: byteCount, member: nil)
        guard places.updateValue(place, forKey: key) == nil else {
          throw failure("\(name) twice")
        }
        position += byteCount
      }
      return (pickle, places)
    }
  }
}
