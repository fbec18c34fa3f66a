import Checkpoints
import Foundation
import TestSupport
import Testing
import Torch

extension PyTorchFile {
  /// The format of 1.6 and later: members stored, storages at multiples of 64 bytes.
  func zipped(_ change: (inout ZipBuilder) -> Void = { _ in }) -> [UInt8] {
    var zip = ZipBuilder([.init("archive/data.pkl", root.pickled(protocol: version))])
    var end = zip.members[0].record.count
    for storage in storages {
      var member = ZipBuilder.Member("archive/data/\(storage.key)", storage.bytes)
      let padding = -(end + member.record.count - storage.bytes.count + 4) & 63
      member.localExtra = Array("FB".utf8) + littleEndian(UInt16(padding))
      member.localExtra += [UInt8](repeating: 0x5a, count: padding)
      zip.members.append(member)
      end += member.record.count
    }
    zip.members.append(.init("archive/version", Array("3\n".utf8)))
    change(&zip)
    return zip.bytes()
  }
}

/// Files of PyTorch as they should be. Those that should not be are in PyTorchAttackTests.
@Suite @TorchActor struct PyTorchTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func open(_ bytes: [UInt8]) throws -> any TensorArchive {
    try openTensorArchive(at: folder.write(bytes, to: "a.pth"))
  }

  @Test func readsLibtorchsFile() throws {
    let archive = try openTensorArchive(at: Golden.path("libtorch.pt"))
    #expect(archive is PyTorchArchive)
    let dtypes: [(String, DType)] = [
      ("Double", .float64), ("Float", .float32), ("Half", .float16), ("BFloat16", .bfloat16),
      ("Long", .int64), ("Int", .int32), ("Short", .int16), ("Char", .int8), ("Byte", .uint8),
      ("Bool", .bool),
    ]
    for (name, dtype) in dtypes {
      expectEqual(try archive.tensor(named: name), counting([2, 3], dtype), name)
    }
    let base = counting([2, 3, 4], .float32)
    expectEqual(try archive.tensor(named: "transposed"), base.transposed(0, 2), "transposed")
    expectEqual(try archive.tensor(named: "row"), base.select(0, 1), "row")
    expectEqual(try archive.tensor(named: "scalar"), .full([], 3), "scalar")
    expectEqual(try archive.tensor(named: "empty"), .empty([0, 3]), "empty")
    #expect(archive.names.count == dtypes.count + 4)
    #expect(archive.metadata == ["pytorch.part": "model"])
  }

  /// Beside the weights: an optimizer, arguments, NumPy's numbers, dates, paths, sets, large numbers.
  @Test(arguments: ["checkpoint.pth", "legacy.pth"])
  func readsWhatPythonPickled(_ file: String) throws {
    let archive = try openTensorArchive(at: Golden.path(file))
    let base = counting([2, 3, 4], .float32)
    let expected: [(String, Tensor)] = [
      ("weight", counting([2, 3], .float32)), ("half", counting([2, 3], .float16)),
      ("steps", counting([], .int64)), ("parameter", counting([5], .float32)),
      ("shared", base), ("shared.transposed", base.transposed(0, 2)),
      ("shared.row", base.select(0, 1).select(0, 1)), ("empty", counting([0, 3], .float32)),
    ]
    #expect(archive.names == expected.map(\.0))
    #expect(archive.metadata == ["pytorch.part": "state_dict"])
    for (name, tensor) in expected {
      let found = try archive.tensor(named: name)
      expectEqual(found, tensor, name)
      #expect(try archive.shape(of: name) == tensor.shape)
      #expect(try archive.dtype(of: name) == tensor.dtype)
      #expect(found.isContiguous)
    }
    mingleError { _ = try archive.tensor(named: "none") }

    let averaged = try PyTorchArchive(at: Golden.path(file), part: "state_dict_ema")
    expectEqual(
      try averaged.tensor(named: "weight"), counting([2, 3], .float32) + 100, "averaged")
    let error = mingleError {
      _ = try PyTorchArchive(at: Golden.path(file), part: "optimizer")
    }
    #expect(error?.what == "no weights under 'optimizer'")
  }

  nonisolated private static let versions: [UInt8] = [1, 2, 3, 4, 5]

  @Test(arguments: versions, [false, true])
  func everyProtocolAndDType(_ version: UInt8, _ isLegacy: Bool) throws {
    var tensors = DType.allCases.map { ($0.name, counting([2, 3], $0)) }
    // More entries than the pickler writes at once, and more than a byte can number.
    tensors += (0..<1100).map { ("blocks.\($0).weight", Tensor([Float($0)])) }
    var file = PyTorchFile(tensors, isLegacy: isLegacy)
    file.version = version
    let archive = try open(isLegacy ? file.legacy : file.zipped())
    #expect(archive.names == tensors.map(\.0))
    #expect(archive.metadata.isEmpty)
    for (name, tensor) in tensors { expectEqual(try archive.tensor(named: name), tensor, name) }
  }

  @Test func storagesAreMappedAndShared() throws {
    let storage = PyTorchFile.Storage("0", counting([1000], .float32))
    let item = storage.item()
    let root = PickleItem.named([
      ("all", PyTorchFile.tensor(item, [1000])),
      ("late", PyTorchFile.tensor(item, offset: 600, [400])),
    ])
    let path = try folder.write(PyTorchFile(root, [storage]).zipped(), to: "a.pth")
    let file = try MappedFile(path)
    let archive = try PyTorchArchive(file)
    let all = try archive.tensor(named: "all")
    let late = try archive.tensor(named: "late")
    let start = all.withUnsafeBytes { Int(bitPattern: $0.baseAddress) }
    let (fileStart, fileEnd) = file.withUnsafeBytes {
      (Int(bitPattern: $0.baseAddress), Int(bitPattern: $0.baseAddress) + $0.count)
    }
    #expect(fileStart <= start && start + 4000 <= fileEnd)
    #expect((start - fileStart) % 64 == 0)
    #expect(late.withUnsafeBytes { Int(bitPattern: $0.baseAddress) } == start + 2400)
    all.fillInPlace(7)
    #expect(late.array(of: Float.self).allSatisfy { $0 == 7 })
    #expect(try PyTorchArchive(at: path).tensor(named: "late").array(of: Float.self)[0] == 600)
  }

  @Test(arguments: [false, true]) func sharedStoragesThatMustBeCopiedStayShared(
    _ isLegacy: Bool
  ) throws {
    var storage = PyTorchFile.Storage("k", counting([6], .float64))
    let item = storage.item(isLegacy ? PickleItem.nothing : nil)
    let root = PickleItem.named([
      ("a", PyTorchFile.tensor(item, [6])), ("b", PyTorchFile.tensor(item, offset: 2, [2])),
    ])
    var bytes = PyTorchFile(root, [storage]).legacy
    if !isLegacy {
      for element in 0..<6 { storage.bytes[element * 8..<element * 8 + 8].reverse() }
      bytes = PyTorchFile(root, [storage]).zipped {
        $0.members.append(.init("archive/byteorder", Array("big".utf8)))
      }
    }
    let archive = try open(bytes)
    let a = try archive.tensor(named: "a")
    expectEqual(a, counting([6], .float64), "a")
    a.fillInPlace(7)
    #expect(try archive.tensor(named: "b").array(of: Double.self) == [7, 7])
  }

  @Test func views() throws {
    let storage = PyTorchFile.Storage("0", counting([24], .float32))
    let item = storage.item()
    let root = PickleItem.named([
      ("columns", PyTorchFile.tensor(item, [4, 6], strides: [1, 4])),
      ("every third", PyTorchFile.tensor(item, offset: 1, [8], strides: [3])),
      ("expanded", PyTorchFile.tensor(item, offset: 5, [2, 3], strides: [0, 1])),
      ("one", PyTorchFile.tensor(item, offset: 23, [1, 1], strides: [99, 1 << 60])),
      ("nothing", PyTorchFile.tensor(item, offset: 24, [0, 7], strides: [7, 1])),
    ])
    let archive = try open(PyTorchFile(root, [storage]).zipped())
    func values(_ name: String) throws -> [Float] {
      try archive.tensor(named: name).array(of: Float.self)
    }
    #expect(try values("columns").prefix(7) == [0, 4, 8, 12, 16, 20, 1])
    #expect(try values("every third") == [1, 4, 7, 10, 13, 16, 19, 22])
    #expect(try values("expanded") == [5, 6, 7, 5, 6, 7])
    #expect(try values("one") == [23])
    #expect(try archive.tensor(named: "nothing").shape == [0, 7])
  }

  /// The oldest files number parts of storages as storages of their own.
  @Test func partsOfStorages() throws {
    let storage = PyTorchFile.Storage("100", counting([10], .float32))
    let part = storage.item(.tuple([.text("200"), .int(4), .int(5)]))
    let root = PickleItem.named([("x", PyTorchFile.tensor(part, offset: 1, [4]))])
    let archive = try open(PyTorchFile(root, [storage]).legacy)
    #expect(try archive.tensor(named: "x").array(of: Float.self) == [5, 6, 7, 8])
    for wrong: [PickleItem] in [[.int(4), .int(7)], [.int(11), .int(0)], [.int(-1), .int(2)]] {
      let part = storage.item(.tuple([.text("200")] + wrong))
      let root = PickleItem.named([("x", PyTorchFile.tensor(part, [1]))])
      let error = mingleError { _ = try open(PyTorchFile(root, [storage]).legacy) }
      #expect(error?.what.contains("an impossible part") == true)
    }
    let beyond = PickleItem.named([("x", PyTorchFile.tensor(part, offset: 2, [4]))])
    mingleError { _ = try open(PyTorchFile(beyond, [storage]).legacy) }
  }

  @Test func compressedStorages() throws {
    // Three bytes to a stored block of deflate.
    let tensor = counting([2000], .int32)
    let bytes = PyTorchFile([("x", tensor)]).zipped { zip in
      let plain = zip.members[1].packed
      zip.members[1].checksum = plain.withUnsafeBytes { crc32(of: $0) }
      zip.members[1].count = plain.count
      zip.members[1].method = 8
      zip.members[1].packed =
        [1] + littleEndian(UInt16(plain.count)) + littleEndian(~UInt16(plain.count)) + plain
    }
    expectEqual(try open(bytes).tensor(named: "x"), tensor, "x")
  }

  private func names(_ item: PickleItem, _ storages: [PyTorchFile.Storage]) throws -> [String] {
    try open(PyTorchFile(item, storages).zipped()).names
  }

  @Test func findsTheWeights() throws {
    let storage = PyTorchFile.Storage("0", counting([2], .float32))
    func weights(_ names: String...) -> PickleItem {
      .ordered(names.map { (.text($0), PyTorchFile.tensor(storage.item(), [2])) })
    }
    let plain = weights("plain")
    for (item, expected) in [
      (plain, ["plain"]),
      (.named([("model", plain)]), ["plain"]),
      (.named([("model_ema", weights("ema")), ("model", plain)]), ["plain"]),
      (.named([("model_ema", plain)]), ["plain"]),
      (.named([("model", .text("mixer")), ("state_dict", plain)]), ["plain"]),
      (.named([("model", .nothing), ("state_dict_ema", plain)]), ["plain"]),
      (.named([("ema", .named([("module", plain), ("updates", .int(3))]))]), ["plain"]),
      (.named([("student", plain), ("epoch", .int(1))]), ["plain"]),
      (.named([("rng", PyTorchFile.tensor(storage.item(), [2])), ("model", plain)]), ["plain"]),
      (weights("module.a", "module.b"), ["a", "b"]),
      (weights("_orig_mod.module.a", "_orig_mod.module.b"), ["a", "b"]),
      (weights("module.a", "b"), ["module.a", "b"]),
    ] as [(PickleItem, [String])] {
      #expect(try names(item, [storage]) == expected)
    }

    let others = PickleItem.named([("a", plain), ("b", weights("other"))])
    let both = mingleError { _ = try names(others, [storage]) }
    #expect(both?.what == "a PyTorch file without named weights")
    #expect(both?.got == "a, b")
    let path = try folder.write(PyTorchFile(others, [storage]).zipped(), to: "b.pth")
    #expect(try PyTorchArchive(at: path, part: "b").names == ["other"])
    let single = PyTorchFile.tensor(storage.item(), [2])
    #expect(mingleError { _ = try names(single, [storage]) }?.got == "a single tensor without name")
    for item: PickleItem in [.list([single]), .named([]), .int(3), .nothing, .list([])] {
      #expect(mingleError { _ = try names(item, [storage]) }?.kind == .badData)
    }
  }

  @Test func leavesOutWhatIsNoTensor() throws {
    let storage = PyTorchFile.Storage("0", counting([2], .float32))
    let x = PyTorchFile.tensor(storage.item(), [2])
    let root = PickleItem.named([
      ("epoch", .int(-70_000)), ("loss", .real(0.25)), ("big", .int(1 << 40)), ("x", x),
      ("config", .call(.global("yacs.config", "CfgNode"), [])), ("size", .tuple([.int(1)])),
      (
        "array",
        .call(.global("numpy._core.numeric", "_frombuffer"), [.raw([0x96] + littleEndian(0))])
      ),
      ("device", .call(.global("torch", "device"), [.text("cuda"), .int(0)])),
      ("args", .object(.global("argparse", "Namespace"), [(.text("lr"), .real(1e-3))])),
      ("version", .call(.global("torch.torch_version", "TorchVersion"), [.text("2.1.0")])),
    ])
    #expect(try names(root, [storage]) == ["x"])
  }

  @Test func tensorsWithAttributes() throws {
    let storage = PyTorchFile.Storage("0", counting([2], .float32))
    let arguments: [PickleItem] = [
      storage.item(), .int(0), .tuple([.int(2)]), .tuple([.int(1)]), .bool(false), .named([]),
    ]
    let rebuild = PickleItem.global("torch._utils", "_rebuild_tensor_v2")
    let tagged = PickleItem.call(
      .global("torch._tensor", "_rebuild_from_type_v2"),
      [rebuild, .global("torch", "Tensor"), .tuple(arguments), .named([("tag", .int(1))])])
    let parameter = PickleItem.call(
      .global("torch._utils", "_rebuild_parameter_with_state"),
      [.call(rebuild, arguments), .bool(true), .named([]), .named([("decay", .bool(false))])])
    let root = PickleItem.named([("tagged", tagged), ("parameter", parameter)])
    #expect(try names(root, [storage]) == ["tagged", "parameter"])
  }
}
