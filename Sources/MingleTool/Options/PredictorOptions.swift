import ArgumentParser
import Mingle

/// What the commands that use trained weights have in common.
struct PredictorOptions: ParsableArguments {
  @Argument(help: "A run's folder (its best weights are used) or a file of weights.")
  var weights: String

  @OptionGroup var reading: WeightOptions
  @OptionGroup var precision: InferencePrecisionOption
  @OptionGroup var device: DeviceOptions

  func predictor() throws -> Predictor {
    let device = try device.start()
    let predictor = try Predictor(
      weights, reading.loadOptions(), precision: precision.value, device: device)
    if let calibration = predictor.calibration { calibration.tell() }
    return predictor
  }
}

/// How many samples are computed at once.
struct BatchOption: ParsableArguments {
  @Option(
    name: .customLong("batch-size"),
    help: ArgumentHelp("Pictures or texts computed at once.", valueName: "count"))
  var size = 64

  func validate() throws {
    guard (1...65_536).contains(size) else {
      throw ValidationError("--batch-size must be from 1 to 65536, not \(size)")
    }
  }
}

extension Calibration {
  /// Notes that it is used.
  func tell() {
    Console.note("int8 as calibrated on \(samples) pictures" + (path.map { " (\($0))" } ?? ""))
  }
}
