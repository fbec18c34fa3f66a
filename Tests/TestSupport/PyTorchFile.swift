import Torch

/// What `torch.save` writes: a pickled value and the storages that it refers to.
package struct PyTorchFile {
  package struct Storage {
    package var key: String
    /// "FloatStorage".
    package var type: String
    package var count: Int
    package var bytes: [UInt8]

    package init(_ key: String, _ tensor: Tensor) {
      self.key = key
      type = Self.types[tensor.dtype] ?? ""
      count = tensor.count
      bytes = tensor.withUnsafeBytes { Array($0) }
    }

    private static let types: [DType: String] = [
      .float64: "DoubleStorage", .float32: "FloatStorage", .float16: "HalfStorage",
      .bfloat16: "BFloat16Storage", .int64: "LongStorage", .int32: "IntStorage",
      .int16: "ShortStorage", .int8: "CharStorage", .uint8: "ByteStorage", .bool: "BoolStorage",
    ]

    /// The reference to it; the older format has a sixth part, mostly None.
    package func item(_ last: PickleItem? = nil) -> PickleItem {
      .persistent(
        [.text("storage"), .global("torch", type), .text(key), .text("cpu"), .int(count)]
          + (last.map { [$0] } ?? []))
    }
  }

  package var root: PickleItem
  package var storages: [Storage]
  package var version: UInt8 = 2

  package init(_ root: PickleItem, _ storages: [Storage] = []) {
    self.root = root
    self.storages = storages
  }

  /// A state_dict of whole tensors.
  ///
  /// - Parameter wrap: makes the saved value out of the state_dict.
  package init(
    _ tensors: [(String, Tensor)], isLegacy: Bool = false,
    wrap: (PickleItem) -> PickleItem = { $0 }
  ) {
    storages = tensors.enumerated().map { Storage("\($0)", $1.1) }
    let last: PickleItem? = isLegacy ? PickleItem.nothing : nil
    let items = zip(tensors, storages).map { pair, storage in
      (PickleItem.text(pair.0), Self.tensor(storage.item(last), pair.1.shape))
    }
    root = wrap(.ordered(items))
  }

  /// `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, False, OrderedDict())`
  package static func tensor(
    _ storage: PickleItem, offset: Int = 0, _ shape: [Int], strides: [Int]? = nil
  ) -> PickleItem {
    var rowMajor: [Int] = []
    var stride = 1
    for size in shape.reversed() {
      rowMajor.insert(stride, at: 0)
      stride &*= max(1, size)  // of no use for shapes that no tensor can have
    }
    return .call(
      .global("torch._utils", "_rebuild_tensor_v2"),
      [
        storage, .int(offset), .tuple(shape.map(PickleItem.int)),
        .tuple((strides ?? rowMajor).map(PickleItem.int)), .bool(false),
        .call(.global("collections", "OrderedDict"), []),
      ])
  }

  /// The format of before 1.6.
  package var legacy: [UInt8] {
    let magic: [UInt8] = [0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]
    let number: PickleItem =
      version >= 2 ? .raw(magic) : .raw(Array("L119547037146038801333356L\n".utf8))
    let system = PickleItem.named([
      ("protocol_version", .int(1001)), ("little_endian", .bool(true)),
      ("type_sizes", .named([("short", .int(2)), ("int", .int(4)), ("long", .int(4))])),
    ])
    let keys = PickleItem.list(storages.map { .text($0.key) })
    var bytes: [UInt8] = []
    for item in [number, .int(1001), system, root, keys] {
      bytes += item.pickled(protocol: version)
    }
    for storage in storages {
      bytes += withUnsafeBytes(of: Int64(storage.count).littleEndian) { Array($0) }
      bytes += storage.bytes
    }
    return bytes
  }
}
