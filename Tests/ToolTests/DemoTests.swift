import Foundation
import TestSupport
import Testing

/// What `mingle demo` does to the folder that it writes to.
@Suite(.serialized) struct DemoTests {
  @Test(arguments: ["/dev/null/x", "/dev/null"]) func impossibleFoldersAreTold(
    _ path: String
  ) throws {
    let outcome = try Tool.run(["demo", "--output", path])
    #expect([1, 64].contains(outcome.status))
    #expect(outcome.errorLines.count == 1)
    #expect(outcome.errors.hasPrefix("mingle: error: \(path): "), "\(outcome.errors)")
  }

  @Test func whatIsThereIsKept() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.createDirectory(
      atPath: folder("runs/demo"), withIntermediateDirectories: true)
    try folder.write([1], to: "runs/demo/digits.csv.gz")
    let process = try Tool.start(["demo"], in: folder.path)
    try Tool.wait(for: process) {
      FileManager.default.fileExists(atPath: folder("runs/demo-2/gmlp/config.yaml"))
    }
    kill(process.processIdentifier, SIGINT)
    process.waitUntilExit()
    #expect(process.terminationStatus == 130)
    #expect(try folder.bytes("runs/demo/digits.csv.gz") == [1])
    #expect(try folder.bytes("runs/demo-2/digits.csv.gz").count > 1000)
  }
}
