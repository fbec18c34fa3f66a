import ArgumentParser
import Foundation
import Mingle

/// `mingle doctor`
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Check that this machine is ready.",
    discussion: """
      Shows versions, processor, devices and memory, decodes a picture of each format, compares a \
      tiny network with known numbers, and measures the speed of matrix products. Exit code 1 if \
      a check fails.

      Example: mingle doctor --threads 2
      """)

  @OptionGroup var device: DeviceOptions
  @OptionGroup var json: JSONOption

  func run() throws {
    let report = DoctorReport(device: try device.start())
    if json.isOn { try Console.printJSON(report) } else { try Console.print(report.text) }
    let failed = report.checks.filter { !$0.passed }.map(\.name)
    guard failed.isEmpty else {
      throw MingleError(
        .failed, "these checks failed: \(failed.joined(separator: ", "))",
        next: "run scripts/bootstrap in Mingle's folder, then build again")
    }
  }
}

/// What the doctor finds.
private struct DoctorReport: Encodable {
  let mingle = mingleVersion
  let libtorch = Engine.version
  let swift = swiftVersion
  let system = ProcessInfo.processInfo.operatingSystemVersionString
  let vectorInstructions = Self.vectorInstructions
  let cores = ProcessInfo.processInfo.activeProcessorCount
  let threads = Engine.threadCount
  let memoryBytes = ProcessInfo.processInfo.physicalMemory
  let devices = Device.available.map(\.description)
  let checks: [DoctorCheck]
  /// Matrix products of 1024 x 1024, billions of operations a second.
  let gigaflops: [String: Double]

  init(device: Device) {
    checks = DoctorCheck.all(on: device)
    var speeds: [String: Double] = [:]
    for precision in Precision.allCases {
      speeds[precision.rawValue] = Self.measuredSpeed(precision, on: device)
    }
    gigaflops = speeds
  }

  var text: String {
    var lines: [(String, String)] = [
      ("mingle", mingle), ("libtorch", libtorch), ("Swift", swift), ("system", system),
      ("processor", "\(cores) cores, \(vectorInstructions)"), ("threads", "\(threads)"),
      ("memory", "\(decimal(Double(memoryBytes) / 1e9, 1)) GB"),
      ("devices", devices.joined(separator: ", ")),
    ]
    for precision in Precision.allCases {
      let speed = gigaflops[precision.rawValue] ?? 0
      lines.append(("\(precision.rawValue) products", "\(decimal(speed, 0)) GFLOP/s"))
    }
    for check in checks { lines.append((check.name, check.passed ? "ok" : check.detail)) }
    let width = lines.map(\.0.count).max() ?? 0
    return lines.map { name, value in
      name + String(repeating: " ", count: width + 2 - name.count) + value
    }.joined(separator: "\n")
  }

  private static var swiftVersion: String {
    #if swift(>=6.4)
      "6.4 or newer"
    #elseif swift(>=6.3)
      "6.3"
    #else
      "6.2"
    #endif
  }

  /// "AVX512": what libtorch's kernels use.
  private static var vectorInstructions: String {
    let line = Engine.buildDescription.split(whereSeparator: \.isNewline)
      .first { $0.contains("CPU capability usage") }
    return line?.split(separator: ":").last.map { String($0.drop { $0 == " " }) } ?? "unknown"
  }

  private static func measuredSpeed(_ precision: Precision, on device: Device) -> Double {
    let size = 1024
    let type: DType = precision == .bfloat16 ? .bfloat16 : .float32
    let matrix = Tensor.full([size, size], 0.5, dtype: type, device: device)
    _ = matrix.matmul(matrix)
    device.synchronize()
    let clock = ContinuousClock()
    let start = clock.now
    var products = 0
    repeat {
      _ = matrix.matmul(matrix)
      device.synchronize()
      products += 1
    } while clock.now - start < .milliseconds(300)
    let operations = 2 * Double(size * size * size) * Double(products)
    return operations / ((clock.now - start) / .seconds(1)) / 1e9
  }
}
