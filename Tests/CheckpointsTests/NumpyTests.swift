import Checkpoints
import Foundation
import TestSupport
import Testing
import Torch

@Suite @TorchActor struct NumpyTests {
  nonisolated private static let codes: [(String, DType)] = [
    ("f2", .float16), ("f4", .float32), ("f8", .float64), ("i1", .int8), ("i2", .int16),
    ("i4", .int32), ("i8", .int64), ("u1", .uint8), ("bool", .bool),
  ]

  @Test(arguments: ["stored.npz", "deflated.npz"]) func readsNumPysFiles(_ file: String) throws {
    var expected: [String: Tensor] = [
      "column/f4": counting([2, 3, 4], .float32), "column/big": counting([2, 3], .int16),
      "scalar": counting([], .float32), "vector": counting([5], .int64),
      "empty": counting([0, 3], .float32),
    ]
    for (code, dtype) in Self.codes {
      expected[code] = counting([2, 3], dtype)
      if dtype.byteCount > 1 { expected["big/\(code)"] = counting([2, 3], dtype) }
    }
    let archive = try openTensorArchive(at: Golden.path(file))
    #expect(archive is NumpyArchive)
    #expect(archive.metadata.isEmpty)
    #expect(archive.names.sorted() == expected.keys.sorted())
    for (name, tensor) in expected {
      #expect(try archive.shape(of: name) == tensor.shape)
      #expect(try archive.dtype(of: name) == tensor.dtype)
      let found = try archive.tensor(named: name)
      #expect(found.isContiguous)
      expectEqual(found, tensor, name)
    }
    mingleError { _ = try archive.tensor(named: "none") }
  }

  /// Data descriptors, headers of all three versions without ".npy", zip64 fields throughout.
  @Test(arguments: [
    ("streamed.npz", ["x"]), ("versions.npz", ["v1", "v2", "v3"]), ("zip64.npz", ["x"]),
  ]) func readsOtherLayouts(_ file: String, _ names: [String]) throws {
    let archive = try NumpyArchive(at: Golden.path(file))
    for name in names {
      expectEqual(try archive.tensor(named: name), counting([2, 3], .float32), name)
    }
  }

  @Test(arguments: [
    ("objects.npz", "pickled Python objects"), ("records.npz", "array of records"),
    ("unsigned.npz", "'<u4'"),
  ]) func refusesOtherArrays(_ file: String, _ says: String) {
    let error = mingleError { _ = try NumpyArchive(at: Golden.path(file)) }
    #expect(error?.description.contains(says) == true)
    #expect(error?.place?.hasSuffix("x.npy") == true)
  }

  @Test func roundTrip() throws {
    let folder = try TemporaryFolder()
    var tensors: [String: Tensor] = [
      "a/empty": counting([0, 3], .float32), "scalar": counting([], .int32),
      "view": counting([2, 3], .float32).transposed(0, 1), "vector": counting([70], .float64),
    ]
    for (code, dtype) in Self.codes { tensors[code] = counting([2, 3], dtype) }
    try NumpyArchive.write(tensors, to: folder("a.npz"))
    let archive = try NumpyArchive(at: folder("a.npz"))
    #expect(archive.names == tensors.keys.sorted())
    for (name, tensor) in tensors { expectEqual(try archive.tensor(named: name), tensor, name) }
    try NumpyArchive.write(tensors, to: folder("b.npz"))
    #expect(try folder.bytes("a.npz") == folder.bytes("b.npz"))
  }

  @Test func refusesToWriteWhatNumPyLacks() throws {
    let folder = try TemporaryFolder()
    let error = mingleError {
      try NumpyArchive.write(["x": counting([1], .bfloat16)], to: folder("a.npz"))
    }
    #expect(error?.what == "NumPy has no bfloat16, the dtype of 'x'")
    #expect(try folder.names() == [])
  }

  nonisolated private static func array(
    _ text: String, version: UInt8 = 1, data: Int = 0
  ) -> [UInt8] {
    [0x93] + Array("NUMPY".utf8) + [version, 0] + littleEndian(UInt16(text.utf8.count))
      + Array(text.utf8) + [UInt8](repeating: 2, count: data)
  }

  nonisolated private static func described(
    _ type: String = "'<f4'", order: String = "False", shape: String = "(1,)"
  ) -> String {
    "{'descr': \(type), 'fortran_order': \(order), 'shape': \(shape), }\n"
  }

  nonisolated private static let hostile: [(array: [UInt8], says: String)] = [
    ([], "not a NumPy array"),
    (Array("hello, world".utf8), "not a NumPy array"),
    (array(described(), version: 4, data: 4), "not a NumPy array"),
    (Array(array(described()).prefix(9)), "not a NumPy array"),
    (Array(array(described()).prefix(30)), "ends within its header"),
    (array(described() + String(repeating: " ", count: 20_000)), "header too long"),
    (array(described(), data: 3), "expected 4 bytes, got 3"),
    (array(described(), data: 5), "expected 4 bytes, got 5"),
    (array(described("'|b1'"), data: 1), "damaged boolean"),
    (array(described("'<c8'"), data: 8), "'<c8'"),
    (array(described("'<U5'"), data: 20), "'<U5'"),
    (array(described("'|O'"), data: 8), "pickled Python objects"),
    (array(described("<f4"), data: 4), "no '\"'"),
    (array(described("'<f4"), data: 4), "no '}'"),
    (array(described(order: "0"), data: 4), "True or False"),
    (array(described(shape: "(-1,)"), data: 4), "whole number"),
    (array(described(shape: "(1.5,)"), data: 4), "no ')'"),
    (array(described(shape: "[1]"), data: 4), "no '('"),
    (array(described(shape: "(4294967296, 4294967296)")), "impossible shape"),
    (array(described(shape: "(0, 4294967296, 4294967296)")), "impossible shape"),
    (array(described(shape: "(99999999999999999999,)")), "whole number"),
    (array(described(shape: "(\(String(repeating: "1,", count: 65)))")), "more than 64"),
    (array(described() + "x", data: 4), "more after its end"),
    (array("{'descr': '<f4'}"), "not all of descr"),
    (array("{'descr': '<f4', 'descr': '<f4'}"), "unknown or repeated key"),
    (array("{'shape': __import__('os')}"), "no '('"),
  ]

  @Test func hostileArrays() throws {
    let folder = try TemporaryFolder()
    for (array, says) in Self.hostile {
      let path = try folder.write(ZipBuilder([.init("x.npy", array)]).bytes(), to: "a.npz")
      let error = mingleError { _ = try NumpyArchive(at: path).tensors() }
      #expect(error?.kind == .badData)
      #expect(
        error?.description.contains(says) == true,
        "\(says): \(error?.description ?? "")")
    }
  }

  @Test func hostileZips() throws {
    let folder = try TemporaryFolder()
    let array = Self.array(Self.described(), data: 4)
    var plain = ZipBuilder([.init("x.npy", array), .init("y.npy", array)])
    let bytes = plain.bytes()
    #expect(try NumpyArchive(at: folder.write(bytes, to: "a")).names == ["x", "y"])

    func refuses(
      _ bytes: [UInt8], _ says: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let path = try folder.write(bytes, to: "a.npz")
      let error = mingleError(
        { _ = try openTensorArchive(at: path).tensors() },
        sourceLocation: sourceLocation)
      #expect(
        error?.description.contains(says) == true, "\(error?.description ?? "")",
        sourceLocation: sourceLocation)
    }
    func refuses(
      _ says: String, sourceLocation: SourceLocation = #_sourceLocation,
      _ change: (inout ZipBuilder) -> Void
    ) throws {
      var zip = plain
      change(&zip)
      try refuses(zip.bytes(), says, sourceLocation: sourceLocation)
    }

    try refuses(Array(bytes.dropLast()), "no directory")
    try refuses([0x50, 0x4b, 3, 4], "no directory")
    try refuses([0] + bytes, "damaged directory")
    try refuses("wrong checksum") { $0.members[0].checksum = 1 }
    try refuses("encrypted") { $0.members[0].flags = 1 }
    try refuses("compression method 12") { $0.members[0].method = 12 }
    try refuses("another name") { $0.members[0].localName = "z.npy" }
    try refuses("the name 'x.npy' twice") { $0.members[1].name = "x.npy" }
    try refuses("the array 'x' twice") { $0.members[1].name = "x" }
    try refuses("members that overlap") {
      // The second member lies in the first one's data.
      $0.members[0] = .init("x.npy", $0.members[1].record)
      $0.members[1].offset = 30 + "x.npy".utf8.count
    }
    try refuses("no header for") { $0.members[1].offset = 3 }
    try refuses("no header for") { $0.members[1].offset = 0xffff_fff0 }
    try refuses("tells that") { $0.members[0].count = 1 }
    try refuses("ends within") { $0.members[1].packedCount = 100_000 }
    try refuses("tells of 3") { $0.count = 3 }
    try refuses("several disks") { $0.disk = 1 }
    plain.members[0].method = 8
    try refuses("damaged compressed data") { $0.members[0].packed[0] = 0xff }
    try refuses("tells that") { $0.members[0].count = 1 << 30 }
    try refuses("out of almost nothing") {
      for index in 0..<2 {
        $0.members[index].method = 8
        $0.members[index].packed = [UInt8](repeating: 0, count: 1 << 20)
        $0.members[index].count = 1 << 29 | 1 << 20
      }
    }
  }

  @Test func deflatedMembersMustKeepTheirLength() throws {
    let folder = try TemporaryFolder()
    let bytes = try Golden.bytes("streamed.npz")
    let directory = try #require(
      bytes.indices.first { bytes[$0...].starts(with: [0x50, 0x4b, 1, 2]) })
    for change in [-1, 1] {
      var changed = bytes
      changed[directory + 24] = UInt8(Int(changed[directory + 24]) + change)
      let path = try folder.write(changed, to: "a.npz")
      mingleError { _ = try NumpyArchive(at: path).tensors() }
    }
  }
}
