import Checkpoints
import Foundation
import TestSupport
import Testing
import Torch

@Suite struct MappedFileTests {
  @Test func readsBytes() throws {
    let folder = try TemporaryFolder()
    let file = try MappedFile(folder.write([1, 2, 3, 4], to: "a"))
    #expect(file.count == 4)
    #expect(file.withUnsafeBytes { Array($0) } == [1, 2, 3, 4])
    #expect(try file.bytes(in: 1..<3) == [2, 3])
    let error = mingleError { _ = try file.bytes(in: 2..<9) }
    #expect(error?.what == "the file ends early")
  }

  @Test func emptyFile() throws {
    let folder = try TemporaryFolder()
    let file = try MappedFile(folder.write([], to: "empty"))
    #expect(file.count == 0)
    #expect(file.withUnsafeBytes { $0.isEmpty })
  }

  @Test func refusesWhatIsNoFile() throws {
    let folder = try TemporaryFolder()
    let missing = mingleError { _ = try MappedFile(folder("none")) }
    #expect(missing?.kind == .missingInput)
    #expect(mingleError { _ = try MappedFile(folder.path) }?.what.hasPrefix("a folder") == true)
    #expect(mingleError { _ = try MappedFile("/dev/zero") }?.what == "not an ordinary file")
    try #require(mkfifo(folder("pipe"), 0o600) == 0)
    #expect(mingleError { _ = try MappedFile(folder("pipe")) }?.what == "not an ordinary file")
  }
}

@Suite struct AtomicFileTests {
  @Test(arguments: [0, 1, 70_000, 200_000])
  func writes(count: Int) throws {
    let folder = try TemporaryFolder()
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    try writeAtomically(to: folder("a")) { writer in
      try writer.write(Array(bytes.prefix(1)))
      try writer.write(Array(bytes.dropFirst()))
      #expect(writer.count == count)
    }
    #expect(try MappedFile(folder("a")).withUnsafeBytes { Array($0) } == bytes)
    #expect(try folder.names() == ["a"])
  }

  @Test func whatAKilledWriterLeftIsFound() throws {
    let folder = try TemporaryFolder()
    try writeAtomically(to: folder("a")) { _ in
      let names = try folder.names()
      #expect(names.count == 1 && isLeftover(names[0], of: "a"), "\(names)")
    }
    let others = ["..tmp", ".a..tmp", ".a.1x9k", ".a.b.1x9k.tmp", ".b.1x9k.tmp", "a"]
    for name in others + [".a.1x9k.tmp", ".a.0.tmp"] { try folder.write([], to: name) }
    try removeLeftovers(of: ["a"], in: folder.path)
    #expect(try folder.names() == others)
  }

  @Test func aFailureLeavesTheOldFile() throws {
    struct Failure: Error {}
    let folder = try TemporaryFolder()
    try writeAtomically("old", to: folder("a"))
    #expect(throws: Failure.self) {
      try writeAtomically(to: folder("a")) { writer in
        try writer.write("new")
        throw Failure()
      }
    }
    #expect(try String(contentsOfFile: folder("a"), encoding: .utf8) == "old")
    #expect(try folder.names() == ["a"])
  }

  @Test func keepsPermissionsAndLinks() throws {
    let folder = try TemporaryFolder()
    try writeAtomically("old", to: folder("a"))
    try #require(chmod(folder("a"), 0o640) == 0)
    try #require(symlink("a", folder("link")) == 0)
    try writeAtomically("new", to: folder("link"))
    let attributes = try FileManager.default.attributesOfItem(atPath: folder("a"))
    #expect(attributes[.posixPermissions] as? Int == 0o640)
    #expect(try String(contentsOfFile: folder("a"), encoding: .utf8) == "new")
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: folder("link")) == "a")
  }

  @Test func refusesWrongPlaces() throws {
    let folder = try TemporaryFolder()
    let missing = mingleError { try writeAtomically("x", to: folder("none/a")) }
    #expect(missing?.what == "the folder to write to does not exist")
    #expect(missing?.place == folder("none"))
    #expect(mingleError { try writeAtomically("x", to: folder.path) }?.kind == .usage)
    try folder.write([], to: "file")
    #expect(mingleError { try writeAtomically("x", to: folder("file/a")) }?.kind == .usage)
    #expect(try folder.names() == ["file"])
  }

  @Test func longNames() throws {
    let folder = try TemporaryFolder()
    let name = String(repeating: "n", count: 250)
    try writeAtomically("x", to: folder(name))
    #expect(try folder.names() == [name])
  }

  #if os(Linux)
    @Test func fullDevice() {
      let error = mingleError { try writeAtomically("x", to: "/dev/full") }
      #expect(error?.description.contains("No space left on device") == true)
      #expect(error?.next?.contains("free some space") == true)
    }
  #endif

  /// The limit on file sizes holds for a whole process, so this one runs in its own.
  @Test func fullDisk() async {
    await #expect(processExitsWith: .success) {
      let folder = try TemporaryFolder()
      try writeAtomically("old", to: folder("a"))
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 100_000, rlim_max: 100_000)
      #if canImport(Darwin)
        try #require(setrlimit(RLIMIT_FSIZE, &limit) == 0)
      #else
        try #require(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
      #endif
      let error = mingleError {
        try writeAtomically(to: folder("a")) { try $0.write([UInt8](repeating: 1, count: 200_000)) }
      }
      try #require(error?.kind == .failed)
      try #require(error?.next?.contains("free some space") == true)
      try #require(try folder.names() == ["a"])
      try #require(try String(contentsOfFile: folder("a"), encoding: .utf8) == "old")
    }
  }
}

@Suite struct AtomicFolderTests {
  /// Writes a folder of two files that must always agree.
  private func write(
    _ version: String, to path: String, exchange: ((String, String) throws -> Bool)? = nil
  ) throws {
    func fill(_ folder: String) throws {
      try writeAtomically(version, to: "\(folder)/a")
      try FileManager.default.createDirectory(
        atPath: "\(folder)/sub", withIntermediateDirectories: false)
      try writeAtomically(version, to: "\(folder)/sub/b")
    }
    if let exchange {
      try replaceFolder(at: path, exchange: exchange, fill)
    } else {
      try replaceFolder(at: path, fill)
    }
  }

  private func read(_ path: String) throws -> String? {
    guard let folder = try readableFolder(at: path) else { return nil }
    let a = try String(contentsOfFile: "\(folder)/a", encoding: .utf8)
    let b = try String(contentsOfFile: "\(folder)/sub/b", encoding: .utf8)
    #expect(a == b)
    return a
  }

  @Test func replaces() throws {
    let folder = try TemporaryFolder()
    #expect(try read(folder("last")) == nil)
    for version in ["1", "2", "3"] {
      try write(version, to: folder("last/"))
      #expect(try read(folder("last")) == version)
      #expect(try folder.names() == ["last"])
    }
  }

  @Test func replacesWithoutExchange() throws {
    let folder = try TemporaryFolder()
    for version in ["1", "2"] {
      try write(version, to: folder("last"), exchange: { _, _ in false })
      #expect(try read(folder("last")) == version)
      #expect(try folder.names() == ["last"])
    }
  }

  @Test func aFailureLeavesTheOldFolder() throws {
    struct Failure: Error {}
    let folder = try TemporaryFolder()
    try write("1", to: folder("last"))
    #expect(throws: Failure.self) {
      try replaceFolder(at: folder("last")) { new in
        try writeAtomically("2", to: "\(new)/a")
        throw Failure()
      }
    }
    #expect(throws: Failure.self) {
      try write("2", to: folder("last"), exchange: { _, _ in throw Failure() })
    }
    #expect(try read(folder("last")) == "1")
    #expect(try folder.names() == ["last"])
  }

  /// A crash leaves what the steps before it left: each such state must read, and be mended.
  @Test(arguments: [
    (["last", "last.tmp"], "last"), (["last.tmp"], nil), (["last.old", "last.tmp"], "last.old"),
    (["last", "last.old"], "last"), (["last.old"], "last.old"),
  ])
  func recovers(from state: [String], reads: String?) throws {
    let folder = try TemporaryFolder()
    for name in state {
      try write(name, to: folder("made"))
      try FileManager.default.moveItem(atPath: folder("made"), toPath: folder(name))
    }
    #expect(try read(folder("last")) == reads)
    try write("next", to: folder("last"))
    #expect(try read(folder("last")) == "next")
    #expect(try folder.names() == ["last"])
  }

  @Test func deletesNoTargetsOfLinks() throws {
    let folder = try TemporaryFolder()
    try write("1", to: folder("kept"))
    try write("1", to: folder("gone"))
    try #require(symlink("../kept", folder("gone/link")) == 0)
    try removeTree(folder("gone"))
    #expect(try folder.names() == ["kept"])
    #expect(try read(folder("kept")) == "1")
  }
}
