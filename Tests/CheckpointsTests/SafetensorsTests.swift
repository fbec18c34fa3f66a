import Checkpoints
import Foundation
import TestSupport
import Testing
import Torch

@Suite @TorchActor struct SafetensorsTests {
  /// The tensors of the golden file.
  private var golden: [String: Tensor] {
    var tensors: [String: Tensor] = [:]
    for dtype in DType.allCases { tensors[dtype.name] = counting([2, 3], dtype) }
    tensors["block.0.weight"] = counting([], .float32)
    tensors["block.10.weight"] = counting([0, 3], .float32)
    tensors["na\"me\n"] = counting([1], .int8)
    return tensors
  }
  private let goldenMetadata = ["labels": "[\"café\", \"\\\", \"\t\u{1}\"]"]

  @Test func readsTheReferenceFile() throws {
    let archive = try openTensorArchive(at: Golden.path("all.safetensors"))
    #expect(archive is Safetensors)
    #expect(archive.metadata == goldenMetadata)
    #expect(archive.names.sorted() == golden.keys.sorted())
    for (name, expected) in golden {
      #expect(try archive.shape(of: name) == expected.shape)
      #expect(try archive.dtype(of: name) == expected.dtype)
      expectEqual(try archive.tensor(named: name), expected, name)
    }
  }

  @Test func writesTheReferenceBytes() throws {
    let folder = try TemporaryFolder()
    try Safetensors.write(golden, metadata: goldenMetadata, to: folder("a"))
    #expect(try folder.bytes("a") == Golden.bytes("all.safetensors"))
    try Safetensors.write(["x": counting([3], .uint8)], to: folder("b"))
    #expect(try folder.bytes("b") == Golden.bytes("small.safetensors"))
  }

  @Test func writesViewsInRowMajorOrder() throws {
    let folder = try TemporaryFolder()
    let view = counting([2, 3], .float32).transposed(0, 1)
    try Safetensors.write(["view": view], to: folder("a"))
    expectEqual(try Safetensors(at: folder("a")).tensor(named: "view"), view, "view")
  }

  @Test func anEmptyFileOfTensors() throws {
    let folder = try TemporaryFolder()
    try Safetensors.write([:], to: folder("a"))
    #expect(try Safetensors(at: folder("a")).names == [])
  }

  @Test func changesStayOutOfTheFile() throws {
    let folder = try TemporaryFolder()
    try Safetensors.write(["x": counting([2000], .float32)], to: folder("a"))
    let before = try folder.bytes("a")
    var tensor: Tensor? = try Safetensors(at: folder("a")).tensor(named: "x")
    tensor?.withUnsafeMutableBytes { $0.storeBytes(of: 7, toByteOffset: 4000, as: Float.self) }
    #expect(tensor?.array(of: Float.self)[1000] == 7)
    #expect(try folder.bytes("a") == before)
    // The mapping outlives its file.
    try removeTree(folder("a"))
    #expect(tensor?.array(of: Float.self)[1999] == 1999)
    tensor = nil
  }

  @Test func unalignedTensorsAreCopied() throws {
    let header = #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#
    let bytes = littleEndian(UInt64(header.utf8.count)) + Array(header.utf8)
    try #require(bytes.count % 4 != 0)
    let folder = try TemporaryFolder()
    let values = [Float(1).bitPattern, Float(2).bitPattern].flatMap { littleEndian($0) }
    let archive = try Safetensors(at: folder.write(bytes + values, to: "a"))
    #expect(try archive.tensor(named: "a").array(of: Float.self) == [1, 2])
  }

  @Test func unknownNames() throws {
    let archive = try Safetensors(at: Golden.path("small.safetensors"))
    let error = mingleError { _ = try archive.tensor(named: "y") }
    #expect(error?.what == "the file has no tensor 'y'")
    #expect(error?.got == "x")
    mingleError { _ = try archive.shape(of: "y") }
    mingleError { _ = try archive.dtype(of: "y") }
  }

  @Test func refusesTheMetadataKeyAsName() throws {
    let folder = try TemporaryFolder()
    let error = mingleError {
      try Safetensors.write(["__metadata__": counting([1], .int8)], to: folder("a"))
    }
    #expect(error?.kind == .usage)
    #expect(try folder.names() == [])
  }

  /// Headers, the count of bytes after them, and what the error must say.
  nonisolated private static let hostile: [(header: String, data: Int, says: String)] = [
    ("", 0, "begins with '{'"),
    (" {}", 0, "begins with '{'"),
    ("{", 0, "early end"),
    ("{}x", 0, "more after its end"),
    ("{}", 1, "bytes after the last tensor"),
    (#"{"a":1}"#, 0, "no '{'"),
    (#"{"a":{}}"#, 0, "is not described"),
    (#"{"a":[[[[[[[["#, 0, "no '{'"),
    (tensor("U8", "[1]", "[0,1]", name: "\u{1}"), 1, "control character"),
    (tensor("U8", "[1]", "[0,1]", name: #"\x"#), 1, "unknown escape"),
    (tensor("U8", "[1]", "[0,1]", name: #"\ud800"#), 1, "half a character"),
    (tensor("U8", "[1]", "[0,1]", name: #"\ud800\u0041"#), 1, "half a character"),
    (tensor("U8", "[1]", "[0,1]", name: #"\u00g0"#), 1, "hexadecimal"),
    (tensor("U8", "[1]", "[0,1]", more: #","dtype":"U8""#), 1, "the key 'dtype' twice"),
    (tensor("U8", "[1]", "[0,1]", more: #","color":"red""#), 1, "unknown field 'color'"),
    (tensor("U8", "[1.0]", "[0,1]"), 1, "no ']'"),
    (tensor("U8", "[-1]", "[0,1]"), 1, "whole number"),
    (tensor("U8", "[01]", "[0,1]"), 1, "whole number"),
    (tensor("U8", "[99999999999999999999]", "[0,1]"), 1, "whole number"),
    (tensor("U8", "1", "[0,1]"), 1, "no '['"),
    (tensor("U8", "[1]", "[0]"), 1, "is not described"),
    (tensor("U8", "[1]", "[0,1,2]"), 1, "more than 2 numbers"),
    (tensor("U8", "[1]", "[1,0]"), 1, "ends beyond the file"),
    (tensor("U8", "[2]", "[0,2]"), 1, "ends beyond the file"),
    (tensor("U8", "[1]", "[0,9223372036854775807]"), 1, "ends beyond the file"),
    (tensor("F32", "[2]", "[0,4]"), 4, "expected 8 bytes, got 4"),
    (tensor("F32", "[4294967296,4294967296]", "[0,0]"), 0, "impossible shape"),
    (tensor("F32", "[0,4294967296,4294967296]", "[0,0]"), 0, "impossible shape"),
    (
      tensor("U8", "[\(Array(repeating: "1", count: 65).joined(separator: ","))]", "[0,1]"), 1,
      "more than 64 numbers"
    ),
    (tensor("F8_E4M3", "[1]", "[0,1]"), 1, "'F8_E4M3'"),
    (tensor("U16", "[1]", "[0,2]"), 2, "'U16'"),
    (tensor("f32", "[1]", "[0,4]"), 4, "'f32'"),
    (pair("[0,1]", "[0,1]"), 1, "overlaps another"),
    (pair("[0,1]", "[2,3]"), 3, "leaves a gap"),
    (pair("[1,2]", "[2,3]"), 3, "leaves a gap"),
    (pair("[0,1]", "[1,2]", second: "a"), 2, "the key 'a' twice"),
    (#"{"__metadata__":{"a":1}}"#, 0, "no '\"'"),
    (#"{"__metadata__":{"a":"1","a":"2"}}"#, 0, "the key 'a' twice"),
    (#"{"__metadata__":"a"}"#, 0, "no '{'"),
  ]

  nonisolated private static func tensor(
    _ dtype: String, _ shape: String, _ offsets: String, name: String = "a", more: String = ""
  ) -> String {
    "{\"\(name)\":{\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"data_offsets\":\(offsets)\(more)}}"
  }

  nonisolated private static func pair(
    _ offsets: String, _ others: String, second: String = "b"
  ) -> String {
    let end = tensor("U8", "[1]", others, name: second).dropFirst()
    return tensor("U8", "[1]", offsets).dropLast() + "," + end
  }

  @Test func hostileHeaders() throws {
    let folder = try TemporaryFolder()
    for (header, data, says) in Self.hostile {
      let bytes =
        littleEndian(UInt64(header.utf8.count)) + Array(header.utf8)
        + [UInt8](repeating: 0, count: data)
      let path = try folder.write(bytes, to: "a.safetensors")
      let error = mingleError { _ = try openTensorArchive(at: path) }
      #expect(error?.kind == .badData)
      #expect(error?.description.contains(says) == true, "\(header): \(error?.description ?? "")")
      #expect(error?.place == path)
    }
  }

  @Test func hostileLengthsAndText() throws {
    let folder = try TemporaryFolder()
    let header = tensorHeader
    for (bytes, says) in [
      ([], "8 bytes at least"),
      (Array(header.prefix(7)), "8 bytes at least"),
      (littleEndian(UInt64.max) + [0x7b], "a header too large"),
      (littleEndian(UInt64(100_000_001)) + [0x7b], "a header too large"),
      (littleEndian(UInt64(99)) + [0x7b], "ends within its header"),
      (Array(header.dropLast()), "ends beyond the file"),
      (littleEndian(UInt64(5)) + [0x7b, 0x22, 0xff, 0x22, 0x7d], "not UTF-8"),
      (tensorHeader.dropLast() + [2], "a damaged boolean"),
    ] as [([UInt8], String)] {
      let path = try folder.write(bytes, to: "a.safetensors")
      let error = mingleError { _ = try Safetensors(at: path).tensors() }
      #expect(error?.description.contains(says) == true, "\(error?.description ?? "")")
    }
  }

  /// A valid file of one boolean.
  private var tensorHeader: [UInt8] {
    let header = Array(Self.tensor("BOOL", "[1]", "[0,1]").utf8)
    return littleEndian(UInt64(header.count)) + header + [1]
  }
}
