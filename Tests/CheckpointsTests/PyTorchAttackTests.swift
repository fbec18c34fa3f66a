import Checkpoints
import Foundation
import TestSupport
import Testing
import Torch

/// Files of PyTorch that lie, attack or are damaged: each ends in an error of ours, without harm.
@Suite @TorchActor struct PyTorchAttackTests {
  private let folder: TemporaryFolder
  private let storage = PyTorchFile.Storage("0", counting([6], .float32))

  init() throws { folder = try TemporaryFolder() }

  /// Opens a file and reads every tensor; the error, if there is one.
  private func failure(_ bytes: [UInt8]) throws -> MingleError? {
    let path = try folder.write(bytes, to: "a.pth")
    do {
      _ = try openTensorArchive(at: path).tensors()
      return nil
    } catch let error as MingleError {
      #expect(error.place?.hasPrefix(path) == true)
      #expect(error.description.utf8.count < 1000)
      return error
    }
  }

  /// The value must be refused in both formats, also as a part that nobody wants.
  private func refuses(
    _ item: PickleItem, _ says: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let tensor = PyTorchFile.tensor(storage.item(), [6])
    let part = PickleItem.named([("model", .named([("x", tensor)])), ("args", item)])
    for root in [item, part] {
      let file = PyTorchFile(root, [storage])
      for bytes in [file.zipped(), file.legacy] {
        let error = try failure(bytes)
        #expect(error?.kind == .badData, sourceLocation: sourceLocation)
        #expect(
          error?.what.contains(says) == true, "\(error?.description ?? "no error")",
          sourceLocation: sourceLocation)
      }
    }
  }

  /// The tensor must be refused.
  private func refusesTensor(
    _ tensor: PickleItem, _ says: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let error = try failure(PyTorchFile(.named([("x", tensor)]), [storage]).zipped())
    #expect(
      error?.what.contains(says) == true, "\(error?.description ?? "no error")",
      sourceLocation: sourceLocation)
  }

  nonisolated private static let functions = [
    "os.system", "posix.system", "nt.system", "subprocess.Popen", "builtins.eval", "builtins.exec",
    "builtins.getattr", "builtins.__import__", "__builtin__.eval", "runpy.run_path",
    "importlib.import_module", "webbrowser.open", "pickle.loads", "operator.attrgetter",
    "functools.partial", "torch.load", "torch.hub.load", "torch.storage._load_from_bytes",
    "torch._utils._import_dotted_name", "torch.os.system", "torch.nn.modules.linear.Linear",
    "numpy.load", "numpy.core.multiarray.os", "argparse.Namespace.__init__",
    "collections.OrderedDict.fromkeys", "timm.models.mlp_mixer.MlpMixer", ".", "torch.", "..Size",
  ]

  /// The ways to name a function and to call it: GLOBAL and STACK_GLOBAL; REDUCE, NEWOBJ, NEWOBJ_EX,
  /// INST and OBJ.
  @Test(arguments: functions) func functionsAreRefusedByName(_ function: String) throws {
    let dot = try #require(function.lastIndex(of: "."))
    let (module, name) = (String(function[..<dot]), String(function[function.index(after: dot)...]))
    let says = "'\(function)', which is no tensor"
    let global = PickleItem.global(module, name)
    let touch = PickleItem.text("touch \(folder("harm"))")
    try refuses(global, says)
    try refuses(.call(global, [touch]), says)
    try refuses(.object(global, []), says)
    let named = codes("\u{8c}") + [UInt8(module.utf8.count)] + codes(module)
    let pushed = named + codes("\u{8c}") + [UInt8(name.utf8.count)] + codes(name) + codes("\u{93}")
    try refuses(.raw(pushed + codes("\u{8c}\u{2}ls\u{85}R")), says)
    try refuses(.raw(pushed + codes("\u{8c}\u{2}ls\u{85}}\u{92}")), says)
    try refuses(.raw(codes("(X\u{2}\0\0\0lsi\(module)\n\(name)\n")), says)
    try refuses(.raw(codes("(c\(module)\n\(name)\nX\u{2}\0\0\0lso")), says)
    #expect(try folder.names() == ["a.pth"])
  }

  @Test func longNamesAreCut() throws {
    let name = String(repeating: "n", count: 100_000)
    try refuses(.global("m", name), "'m.nnnn")
  }

  nonisolated private static let operations: [(String, String, String)] = [
    ("EXT1", "\u{82}\u{1}", "the operation 130"), ("EXT2", "\u{83}", "the operation 131"),
    ("EXT4", "\u{84}", "the operation 132"), ("PERSID", "Pid\n", "the operation 80"),
    ("STRING", "S'os'\n", "the operation 83"), ("NEXT_BUFFER", "\u{97}", "the operation 151"),
    ("PROTO", "\u{80}\u{6}", "protocol 6"),
    ("empty stack", "0", "too little on its stack"),
    ("below a mark", "NN(\u{86}", "too little on its stack"),
    ("DUP", "2", "too little"), ("PUT", "q\0", "too little"), ("no mark", "t", "no mark"),
    ("GET", "h\u{7}", "nothing in memory 7"),
    ("LONG_BINGET", "j\u{ff}\u{ff}\u{ff}\u{ff}", "nothing in memory 4294967295"),
    ("LONG1", "\u{8a}\u{ff}", "ends early"),
    ("LONG4", "\u{8b}\u{ff}\u{ff}\u{ff}\u{7f}", "ends early"),
    ("LONG4 below 0", "\u{8b}\u{ff}\u{ff}\u{ff}\u{ff}", "ends early"),
    ("INT", "Ix\n", "something else than a number"),
    ("LONG", "L\n", "something else than a number"),
    ("BINUNICODE", "X\u{ff}\u{ff}\u{ff}\u{ff}", "ends early"),
    ("BINUNICODE8", "\u{8d}\0\0\0\0\0\0\0\u{80}", "ends early"),
    ("BINUNICODE8 most", "\u{8d}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}", "ends early"),
    ("BINBYTES8", "\u{8e}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{7f}", "ends early"),
    ("BINSTRING below 0", "T\u{ff}\u{ff}\u{ff}\u{ff}", "ends early"),
    ("FRAME", "\u{95}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}", "a frame beyond"),
    ("no line end", "cos", "ends early"),
    ("STACK_GLOBAL of numbers", "K\u{1}K\u{1}\u{93}", "a name that is no text"),
    ("odd SETITEMS", "}(Nu", "a key without a value"),
    ("SETITEM of a list", "]NNs", "no dictionary"),
    ("APPEND to a number", "K\u{1}Na", "no list"),
    ("BUILD of a number", "K\u{1}}b", "attributes for what has none"),
    ("REDUCE of a number", "K\u{1})R", "a call of what is no function"),
    ("REDUCE with a dictionary", "ctorch\nSize\n}R", "a call of what is no function"),
    ("OBJ of nothing", "(o", "an object of no class"),
    ("a call of a storage", "ctorch\nFloatStorage\n)R", "a call of 'torch.FloatStorage'"),
    ("a call of a class", "ctorch\nTensor\n)R", "a call of 'torch.Tensor'"),
    (
      "a pair of three", "ccollections\nOrderedDict\n]](NNNea\u{85}R", "without key and value"
    ),
    ("BINPERSID of a number", "K\u{1}Q", "no storage"),
  ]

  @Test(arguments: operations) func damagedOperations(
    _ name: String, _ operations: String, _ says: String
  ) throws {
    let pickle = codes("\u{80}\u{2}\(operations).")
    let error = try failure(ZipBuilder([.init("archive/data.pkl", pickle)]).bytes())
    #expect(error?.what.contains(says) == true, "\(error?.description ?? "no error")")
  }

  @Test func endsThatAreNone() throws {
    for (bytes, says) in [
      ([], "ends early"), ([0x80], "ends early"), ([0x80, 2], "ends early"),
      ([0x80, 2, UInt8(ascii: "N")], "ends early"), ([UInt8(ascii: ".")], "too little"),
      (Array("NN.".utf8), "an end too early"), (Array("(N.".utf8), "an end too early"),
    ] as [([UInt8], String)] {
      let member = ZipBuilder.Member("archive/data.pkl", bytes)
      let error = try failure(ZipBuilder([member]).bytes())
      #expect(error?.what.contains(says) == true, "\(error?.description ?? "no error")")
    }
  }

  @Test func storageReferences() throws {
    let float = PickleItem.global("torch", "FloatStorage")
    let key = PickleItem.text("0")
    func id(_ items: PickleItem...) -> PickleItem { .persistent(items) }
    for (item, says) in [
      (id(), "no storage"),
      (id(.text("storage"), float, key, key), "no storage"),
      (id(.text("module"), float, key, key, .int(6)), "no storage"),
      (id(.text("storage"), .text("FloatStorage"), key, key, .int(6)), "no storage"),
      (id(.text("storage"), .global("torch", "Size"), key, key, .int(6)), "no storage"),
      (id(.text("storage"), float, .int(0), key, .int(6)), "no storage"),
      (id(.text("storage"), float, key, key, .int(-1)), "no storage"),
      (id(.text("storage"), float, key, key, .real(6)), "no storage"),
      (id(.text("storage"), float, key, key, .int(.max)), "impossible storage"),
      (
        id(.text("storage"), .global("torch", "LongStorage"), key, key, .int(1 << 60)), "impossible"
      ),
      (
        .list([storage.item(), id(.text("storage"), float, key, key, .int(5))]),
        "an impossible storage '0'"
      ),
      (
        .list([
          storage.item(), id(.text("storage"), .global("torch", "IntStorage"), key, key, .int(6)),
        ]),
        "an impossible storage '0'"
      ),
    ] as [(PickleItem, String)] {
      let file = PyTorchFile(.named([("x", item)]), [storage])
      for bytes in [file.zipped(), file.legacy] {
        let error = try failure(bytes)
        #expect(error?.what.contains(says) == true, "\(error?.description ?? "no error")")
      }
    }
  }

  @Test func views() throws {
    func tensor(_ shape: [Int], _ strides: [Int], _ offset: Int = 0) -> PickleItem {
      PyTorchFile.tensor(storage.item(), offset: offset, shape, strides: strides)
    }
    try refusesTensor(tensor([7], [1]), "leaves its storage")
    try refusesTensor(tensor([6], [1], 1), "leaves its storage")
    try refusesTensor(tensor([2, 3], [4, 1]), "leaves its storage")
    try refusesTensor(tensor([], [], 6), "leaves its storage")
    try refusesTensor(tensor([0], [1], 7), "leaves its storage")
    try refusesTensor(tensor([2, 3], [3]), "leaves its storage")
    try refusesTensor(tensor([2], [Int.max]), "leaves its storage")
    try refusesTensor(tensor([3], [1 << 62]), "leaves its storage")
    try refusesTensor(tensor([5, 5], [1 << 61, 1 << 61]), "leaves its storage")
    try refusesTensor(tensor([1 << 32, 1 << 32], [0, 0]), "leaves its storage")
    try refusesTensor(tensor([0, 1 << 32, 1 << 32], [0, 0, 0]), "leaves its storage")
    try refusesTensor(tensor([Int.max], [0]), "leaves its storage")
    try refusesTensor(tensor([-1], [1]), "from 0 on")
    try refusesTensor(tensor([2], [-1], 1), "from 0 on")
    try refusesTensor(tensor([2], [1], -1), "from 0 on")
    let many = [Int](repeating: 1, count: 65)
    try refusesTensor(tensor(many, many), "from 0 on")
    // Far more elements than bytes in the file.
    try refusesTensor(tensor([1 << 20, 1 << 20], [0, 0]), "would take")

    let rebuild = PickleItem.global("torch._utils", "_rebuild_tensor_v2")
    try refusesTensor(.call(rebuild, []), "a tensor without storage")
    try refusesTensor(.call(rebuild, [.int(1)]), "a tensor without storage")
    try refusesTensor(.call(rebuild, [storage.item()]), "a tensor without offset")
    let two: [PickleItem] = [storage.item(), .int(0), .tuple([.real(2)]), .tuple([.int(1)])]
    try refusesTensor(.call(rebuild, two), "a tensor without offset")
    let wrapped = PickleItem.global("torch._tensor", "_rebuild_from_type_v2")
    let tensorType = PickleItem.global("torch", "Tensor")
    try refusesTensor(
      .call(wrapped, [wrapped, tensorType, .tuple([]), .nothing]), "a tensor without storage")
    try refusesTensor(.call(wrapped, [rebuild, rebuild, .tuple([]), .nothing]), "an unknown class")
    let pickle = tensor([6], [1]).pickled().dropFirst(2).dropLast()
    try refusesTensor(.raw(pickle + codes("}b")), "attributes for what has none")
  }

  @Test func manyViewsOfFewBytes() throws {
    let items = (0..<2000).map { index in
      ("x\(index)", PyTorchFile.tensor(storage.item(), [1 << 18], strides: [0]))
    }
    let error = try failure(PyTorchFile(.named(items), [storage]).zipped())
    #expect(error?.what.contains("would take 2000 MB") == true, "\(error?.description ?? "")")
  }

  @Test func tensorsOfOtherKinds() throws {
    let complex = PickleItem.persistent([
      .text("storage"), .global("torch", "ComplexFloatStorage"), .text("1"), .text("cpu"), .int(3),
    ])
    let layout = PickleItem.call(
      .global("torch.serialization", "_get_layout"), [.text("torch.sparse_coo")])
    let sparse = PickleItem.call(.global("torch._utils", "_rebuild_sparse_tensor"), [layout])
    let quantized = PickleItem.call(
      .global("torch._utils", "_rebuild_qtensor"),
      [.tuple([.global("torch", "per_tensor_affine"), .real(0.1), .int(0)])])
    let untyped = PickleItem.persistent([
      .text("storage"), .global("torch.storage", "UntypedStorage"), .text("2"), .text("cpu"),
      .int(8),
    ])
    let short = PickleItem.call(
      .global("torch._utils", "_rebuild_tensor_v3"),
      [
        untyped, .int(0), .tuple([.int(4)]), .tuple([.int(1)]), .bool(false), .named([]),
        .global("torch", "uint16"),
      ])
    for (kind, item) in [
      ("torch.ComplexFloatStorage", PyTorchFile.tensor(complex, [3])),
      ("torch._utils._rebuild_sparse_tensor", sparse), ("torch.uint16", short),
      ("torch._utils._rebuild_qtensor", quantized),
    ] {
      let weights = PickleItem.named([("x", PyTorchFile.tensor(storage.item(), [6]))])
      let beside = PickleItem.named([("model", weights), ("buffer", item)])
      #expect(try failure(PyTorchFile(beside, [storage]).zipped()) == nil)
      let error = try failure(PyTorchFile(.named([("x", item)]), [storage]).zipped())
      #expect(error?.got == kind)
    }
  }

  /// What nests without end costs no stack, neither while it is read nor when it is freed.
  @Test func depthAndCircles() throws {
    let x = PickleItem.text("x").pickled().dropFirst(2).dropLast()
    let tensor = PyTorchFile.tensor(storage.item(), [6]).pickled().dropFirst(2).dropLast()
    func many(_ code: UInt8) -> [UInt8] { [UInt8](repeating: code, count: 300_000) }
    for deep in [
      many(UInt8(ascii: "]")) + many(UInt8(ascii: "a")).dropLast(),
      many(UInt8(ascii: "(")) + many(UInt8(ascii: "t")), [UInt8(ascii: "]")] + many(0x85),
    ] as [[UInt8]] {
      let root = PickleItem.raw(
        codes("}(K\u{1}") + deep + x + tensor + codes("u"))
      #expect(try failure(PyTorchFile(root, [storage]).zipped()) == nil)
      #expect(try failure(PyTorchFile(root, [storage]).legacy) == nil)
    }

    let circle = PickleItem.raw(codes("}q\u{63}X\u{5}\0\0\0modelh\u{63}s"))
    let error = try failure(PyTorchFile(circle).zipped())
    #expect(error?.what == "a PyTorch file without named weights")
    let list = PickleItem.raw(codes("]q\u{63}h\u{63}a"))
    #expect(try failure(PyTorchFile(list).zipped())?.got == "a list")
  }

  @Test func workIsLimited() throws {
    let nothing = [UInt8](repeating: 0x88, count: 5_000_001)
    let endless = ZipBuilder([.init("a/data.pkl", nothing)])
    #expect(try failure(endless.bytes())?.what.contains("more than 5000000 operations") == true)

    // One list of pairs, made into a dictionary again and again.
    let pairs = PickleItem.list((0..<10_000).map { .tuple([.int($0), .nothing]) })
    let copy = codes("ccollections\nOrderedDict\nh\0\u{85}R0")
    let body = pairs.pickled().dropFirst(2).dropLast()
    let copies = (0..<1000).flatMap { _ in copy }
    try refuses(.raw(body + copies), "too many copies")
  }

  @Test func storagesInZips() throws {
    let file = PyTorchFile(.named([("x", PyTorchFile.tensor(storage.item(), [6]))]), [storage])
    #expect(try failure(file.zipped()) == nil)
    func refuses(
      _ says: String, sourceLocation: SourceLocation = #_sourceLocation,
      _ change: (inout ZipBuilder) -> Void
    ) throws {
      let error = try failure(file.zipped(change))
      #expect(
        error?.description.contains(says) == true, "\(error?.description ?? "no error")",
        sourceLocation: sourceLocation)
    }
    try refuses("storage '0' of tensor 'x' is missing") { $0.members.remove(at: 1) }
    try refuses("is missing") { $0.members[1].name = "archive/data/1" }
    try refuses("is missing") { $0.members[1].name = "other/data/0" }
    try refuses("is too short: expected 6 elements of float32, got 20 bytes") {
      $0.members[1].packed.removeLast(4)
    }
    try refuses("'archive/data/0' has a wrong checksum") { $0.members[1].checksum = 1 }
    try refuses("'archive/data.pkl' has a wrong checksum") { $0.members[0].checksum = 1 }
    try refuses("the name 'archive/data/0' twice") { $0.members.append($0.members[1]) }
    try refuses("more than one data.pkl") { $0.members.append(.init("b/data.pkl", [])) }
    try refuses("a TorchScript program") { $0.members.append(.init("archive/constants.pkl", [])) }
    try refuses("an unknown byte order") { $0.members.append(.init("archive/byteorder", [1])) }
    try refuses("tells that") {
      $0.members[1].method = 8
      $0.members[1].count = 1 << 30
    }
    try refuses("damaged compressed data") {
      $0.members[1].method = 8
      $0.members[1].packed = [UInt8](repeating: 0xff, count: 24)
    }
    // A bomb: the pickle is said to unpack a hundredfold and more.
    try refuses("out of almost nothing") {
      $0.members[0].method = 8
      $0.members[0].packed = [UInt8](repeating: 0, count: 2 << 20)
      $0.members[0].count = 2000 << 20
    }
    let boolean = PyTorchFile.Storage("0", Tensor([true, false]))
    var damaged = PyTorchFile(.named([("x", PyTorchFile.tensor(boolean.item(), [2]))]), [boolean])
    damaged.storages[0].bytes[1] = 2
    for bytes in [damaged.zipped(), damaged.legacy] {
      #expect(try failure(bytes)?.what == "tensor 'x' has a damaged boolean")
    }
  }

  @Test func storagesInOlderFiles() throws {
    let root = PickleItem.named([("x", PyTorchFile.tensor(storage.item(.nothing), [6]))])
    func refuses(
      _ says: String, sourceLocation: SourceLocation = #_sourceLocation,
      _ change: (inout PyTorchFile) -> Void
    ) throws {
      var file = PyTorchFile(root, [storage])
      change(&file)
      let error = try failure(file.legacy)
      #expect(
        error?.description.contains(says) == true, "\(error?.description ?? "no error")",
        sourceLocation: sourceLocation)
    }
    try refuses("storage '0' of tensor 'x' is missing") { $0.storages = [] }
    try refuses("a storage that no tensor uses") { $0.storages.append(.init("1", .zeros([1]))) }
    try refuses("storage '0' twice") { $0.storages.append($0.storages[0]) }
    try refuses("another length than its tensors tell: expected 6, got 7") {
      $0.storages[0].count = 7
    }
    try refuses("got -6") { $0.storages[0].count = -6 }
    try refuses("ends within storage '0'") { $0.storages[0].bytes.removeLast() }
    let good = PyTorchFile(root, [storage]).legacy
    var other = good
    let version = try #require(other.indices.first { other[$0...].starts(with: [0x4d, 0xe9, 3]) })
    other[version + 1] = 0xea
    #expect(try failure(other)?.what.contains("unknown version") == true)
  }

  /// A file with views, a shared storage and both kinds of numbers, in both formats.
  private func sample(isLegacy: Bool) -> PyTorchFile {
    let last: PickleItem? = isLegacy ? PickleItem.nothing : nil
    let other = PyTorchFile.Storage("1", Tensor([true, false, true]))
    let item = storage.item(last)
    let weights = PickleItem.ordered([
      (.text("module.a"), PyTorchFile.tensor(item, [2, 3])),
      (.text("module.b"), PyTorchFile.tensor(item, offset: 1, [3, 2], strides: [1, 2])),
      (.text("module.c"), PyTorchFile.tensor(other.item(last), [3])),
    ])
    let arguments = PickleItem.object(.global("argparse", "Namespace"), [(.text("lr"), .real(0.1))])
    let root = PickleItem.named([("model", weights), ("args", arguments), ("epoch", .int(300))])
    return PyTorchFile(root, [storage, other])
  }

  @Test func everyShorterFileIsRefused() throws {
    for bytes in [sample(isLegacy: false).zipped(), sample(isLegacy: true).legacy] {
      #expect(try failure(bytes) == nil)
      for count in bytes.indices {
        #expect(try failure(Array(bytes[..<count])) != nil, "\(count) bytes")
      }
    }
    // A complete archive around a pickle that is cut.
    let file = sample(isLegacy: false)
    let pickle = file.root.pickled()
    for count in pickle.indices {
      let bytes = file.zipped { $0.members[0].packed = Array(pickle[..<count]) }
      #expect(try failure(bytes) != nil, "\(count) bytes of the pickle")
    }
  }

  /// Any other error than ours fails the test, a crash all the more.
  @Test(arguments: 1...5 as ClosedRange<UInt8>) func randomDamage(_ version: UInt8) throws {
    var random = SplitMix(state: UInt64(version))
    var refused = 0
    for round in 0..<1500 {
      var file = sample(isLegacy: round % 2 == 0)
      file.version = version
      var bytes = round % 2 == 0 ? file.legacy : file.root.pickled(protocol: version)
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let index = Int.random(in: 0..<bytes.count, using: &random)
        switch UInt8.random(in: 0..<6, using: &random) {
        case 0: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: bytes[index] = [0, 1, 0x7f, 0x80, 0xff].randomElement(using: &random) ?? 0
        case 2: bytes[index] = .random(in: 0...255, using: &random)
        case 3: bytes.remove(at: index)
        case 4: bytes.insert(bytes[.random(in: 0..<bytes.count, using: &random)], at: index)
        default:
          // A piece of the file somewhere else.
          let count = min(Int.random(in: 1...24, using: &random), bytes.count - index)
          let piece = bytes[index..<index + count]
          bytes.insert(contentsOf: piece, at: .random(in: 0..<bytes.count, using: &random))
        }
      }
      let whole = round % 2 == 0 ? bytes : file.zipped { $0.members[0].packed = bytes }
      if try failure(whole) != nil { refused += 1 }
    }
    #expect(refused > 500)
  }
}

/// Bytes as the characters of those numbers.
private func codes(_ text: String) -> [UInt8] { text.unicodeScalars.map { UInt8($0.value) } }
