import ArgumentParser
import Mingle

/// Where and with how many threads a command computes.
struct DeviceOptions: ParsableArguments {
  @Option(help: "Where to compute: cpu, cuda, cuda:N or mps.")
  var device = "cpu"

  @Option(
    help: ArgumentHelp("CPU threads; by default one for each core.", valueName: "count"))
  var threads: Int?

  /// Sets the number of threads and checks the device.
  ///
  /// - Throws: `MingleError` for a device that is not there.
  func start() throws -> Device {
    try DeviceOptions.use(threads: threads)
    return try Device(parsing: device)
  }

  /// Sets the number of CPU threads, unless it is nil.
  ///
  /// - Throws: `MingleError` for a number that cannot be.
  static func use(threads: Int?) throws {
    guard let threads else { return }
    guard (1...1024).contains(threads) else {
      throw MingleError(
        .usage, "--threads is out of range", expected: "1 to 1024", got: "\(threads)")
    }
    Engine.threadCount = threads
  }
}
