import Torch

extension NumpyArchive {
  /// Writes an archive that `numpy.load` reads: members stored, sorted by name, the same tensors
  /// always as the same bytes. An old file is replaced when the new one is complete.
  ///
  /// - Throws: `MingleError` (`usage`) for a bfloat16 tensor, which NumPy does not have, or a name
  ///   of more than 65,000 bytes; (`failed`) when the file cannot be written. Nothing is left behind
  ///   then.
  public static func write(_ tensors: [String: Tensor], to path: String) throws {
    let sorted = tensors.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    let arrays = try sorted.map { name, tensor in
      guard let header = ArrayHeader.bytes(shape: tensor.shape, dtype: tensor.dtype) else {
        throw MingleError(
          .usage, "NumPy has no \(tensor.dtype.name), the dtype of '\(name)'", in: path,
          next: "write safetensors, or convert the tensor to float32")
      }
      guard name.utf8.count <= 65_000 else {
        throw MingleError(.usage, "a name too long for a zip file", in: path)
      }
      return (name: name, header: header, tensor: tensor)
    }
    try writeAtomically(to: path) { writer in
      var zip = ZipWriter(writer)
      for (name, header, tensor) in arrays {
        try tensor.withUnsafeBytes { try zip.add(name + ".npy", header: header, content: $0) }
      }
      try zip.finish()
    }
  }
}
