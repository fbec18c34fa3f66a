import Foundation
import TestSupport
import Testing

/// The built `mingle`, run as a process of its own.
struct Tool {
  /// What a run of the program left.
  struct Outcome {
    let status: Int32
    let output: String
    let errors: String

    /// The lines on standard error.
    var errorLines: [Substring] { errors.split(whereSeparator: \.isNewline) }
  }

  /// Where standard output goes.
  enum Destination { case file, closedPipe, path(String) }

  /// The program beside the tests.
  static let executable: URL = {
    let bundles = Bundle.allBundles.map(\.bundleURL).filter { $0.pathExtension == "xctest" }
    let products =
      bundles.first?.deletingLastPathComponent()
      ?? URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
    return products.appending(path: "mingle")
  }()

  /// What was measured on a machine that runs all tests at once is nothing for its user's cache.
  private static let environment = ProcessInfo.processInfo.environment.merging([
    "XDG_CACHE_HOME": FileManager.default.temporaryDirectory
      .appending(path: "mingle-tests-\(ProcessInfo.processInfo.processIdentifier)").path
  ]) { $1 }

  /// Starts `mingle` with `arguments`.
  ///
  /// - Parameter errors: the file for standard error; nil where nobody reads it.
  static func start(
    _ arguments: [String], in folder: String, errors: String? = nil
  ) throws -> Process {
    let process = Process()
    process.executableURL = executable
    process.arguments = arguments
    process.environment = environment
    process.currentDirectoryURL = URL(filePath: folder)
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError =
      errors.flatMap(FileHandle.init(forWritingAtPath:)) ?? FileHandle.nullDevice
    try process.run()
    return process
  }

  /// Waits until the running `process` has done something. Not by a task that sleeps: while other tests
  /// hold the threads of the pool it wakes up seconds late, when the process may have come to its end.
  static func wait(for process: Process, until isDone: () throws -> Bool) throws {
    while try !isDone() {
      try #require(process.isRunning)
      Thread.sleep(forTimeInterval: 0.005)
    }
  }

  /// Runs `mingle` with `arguments` and waits for it.
  static func run(
    _ arguments: [String], in folder: String? = nil, input: [UInt8] = [],
    to destination: Destination = .file
  ) throws -> Outcome {
    let scratch = try TemporaryFolder()
    let process = Process()
    process.executableURL = executable
    process.arguments = arguments
    // The networks are tiny: threads of theirs would only take cores from the other suites.
    process.environment =
      environment
      .merging(["COLUMNS": "80", "OMP_NUM_THREADS": "1"]) { $1 }
    process.standardInput = FileHandle(forReadingAtPath: try scratch.write(input, to: "input"))
    if let folder { process.currentDirectoryURL = URL(filePath: folder) }
    let output = try scratch.write([], to: "output")
    let errors = try scratch.write([], to: "errors")
    let pipe = Pipe()
    switch destination {
    case .file: process.standardOutput = FileHandle(forWritingAtPath: output)
    case .path(let path): process.standardOutput = FileHandle(forWritingAtPath: path)
    case .closedPipe:
      try pipe.fileHandleForReading.close()
      process.standardOutput = pipe
    }
    process.standardError = FileHandle(forWritingAtPath: errors)
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationReason == .exit, "\(arguments) died of a signal")
    return Outcome(
      status: process.terminationStatus,
      output: try String(contentsOfFile: output, encoding: .utf8),
      errors: try String(contentsOfFile: errors, encoding: .utf8))
  }
}
