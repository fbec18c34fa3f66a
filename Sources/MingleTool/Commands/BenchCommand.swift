import ArgumentParser
import Mingle

/// `mingle bench MODEL`
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure how fast a network is on this machine, and how much memory it takes.",
    discussion: """
      Repeats the prediction of one batch, or with --mode step the whole of a training step \
      (forward, backward, AdamW), for some seconds: the median and the quartiles of its times, and \
      the rate of its matrix products (a step counts three times the prediction's) beside the best \
      that large square products reach here. Pictures are noise; weights too, unless they are given: \
      in int8 with their calibration, if they have one.

      'make bench' in a checkout races Mingle against PyTorch, ONNX Runtime and OpenVINO.

      Example: mingle bench gmlp_s16_224 --batch-size 8 --precision bf16
      """)

  @Argument(help: "A model of 'mingle models' that reads pictures.")
  var model: String?

  @Option(help: "The weights: a file in any known layout, or a run's folder.")
  var weights: String?

  @Option(help: "How many pictures at once.")
  var batchSize = 1

  @Option(help: "What to repeat.")
  var mode = WorkloadMode.forward

  @Option(help: "For how many seconds to repeat it.")
  var seconds = 5.0

  @Option(help: ArgumentHelp("CPU threads; by default one for each core.", valueName: "count"))
  var threads: Int?

  @Flag(help: .hidden)
  var serve = false

  @OptionGroup var precision: InferencePrecisionOption
  @OptionGroup var settings: SettingOptions
  @OptionGroup var json: JSONOption

  func run() throws {
    if serve {
      var server = MeasurementServer()
      return try server.run()
    }
    try check()
    let report = try measure()
    if json.isOn { return try Console.printJSON(report) }
    try Console.print(report.text)
  }

  private func check() throws {
    try DeviceOptions.use(threads: threads)
    guard (1...65_536).contains(batchSize) else {
      throw MingleError(
        .usage, "--batch-size is out of range", expected: "1 to 65536", got: "\(batchSize)")
    }
    guard seconds > 0, seconds <= 86_400 else {
      throw MingleError(
        .usage, "--seconds is out of range", expected: "above 0, up to 86400", got: "\(seconds)")
    }
  }

  private func measure() throws -> BenchReport {
    guard let model else {
      throw MingleError(
        .usage, "the model is missing", next: "name one: 'mingle models --reads pictures'")
    }
    let (start, checkpoint) = try elapsed { try self.checkpoint(model) }
    let configuration = checkpoint.model.configuration
    let (size, generator) = (configuration.imageSize, Generator(seed: 1))
    let images = Tensor.normal(
      [batchSize, configuration.inputChannels, size.height, size.width], generator: generator)
    let labels = Tensor.uniform(
      [batchSize], high: Double(configuration.classes), generator: generator
    ).to(.int64)
    let multiplyAdds = checkpoint.model.summary().reduce(0) { $0 + $1.multiplyAdds }
    let calibration = try precision.value == .int8 ? weights.flatMap(Calibration.ofWeights) : nil
    let workload = try Workload(
      checkpoint, images: images, labels: labels, mode: mode, precision: precision.value,
      calibration: calibration)

    let first = elapsed { workload.run() }.seconds
    _ = workload.seconds(count: 2)
    var times: [Double] = []
    while times.count < 3 || times.reduce(0, +) < seconds { times += workload.seconds(count: 1) }
    let memory = peakMemory()
    let operations = Double(2 * multiplyAdds * batchSize) * (mode == .step ? 3 : 1)
    return BenchReport(
      model: checkpoint.name, mode: mode, batch: batchSize, precision: precision.value,
      isCalibrated: calibration != nil,
      threads: Engine.threadCount, iterations: times.count, seconds: Spread(of: times),
      secondsToLoad: start, secondsOfFirst: first, peakBytes: memory,
      operationsPerSecond: operations / Spread(of: times).median,
      possibleOperationsPerSecond: productCeiling(precision.value.others.products(on: .cpu)))
  }

  private func checkpoint(_ model: String) throws -> ModelCheckpoint {
    let fields = try settings.fields()
    guard let weights else {
      return try .fresh(model, settings: fields, generator: Generator(seed: 1))
    }
    return try .load(weights, LoadOptions(model: model, settings: fields))
  }
}

extension WorkloadMode: ExpressibleByArgument {}

/// What `mingle bench` found.
private struct BenchReport: Encodable {
  let model: String
  let mode: WorkloadMode
  let batch: Int
  let precision: InferencePrecision
  let isCalibrated: Bool
  let threads: Int
  let iterations: Int
  /// Of one repetition, the whole batch.
  let seconds: Spread
  let secondsToLoad: Double
  let secondsOfFirst: Double
  let peakBytes: Int
  let operationsPerSecond: Double
  let possibleOperationsPerSecond: Double

  var text: String {
    func milliseconds(_ seconds: Double) -> String { decimal(1000 * seconds / Double(batch), 2) }
    let share = 100 * operationsPerSecond / possibleOperationsPerSecond
    return """
      \(model), \(mode.rawValue), batch \(batch), \(precision.rawValue)\(isCalibrated ? " calibrated" : ""), \(threads) thread\(threads == 1 ? "" : "s"), \
      \(iterations) times
      \(milliseconds(seconds.median)) ms for each picture (quartiles \
      \(milliseconds(seconds.lowerQuartile)) and \(milliseconds(seconds.upperQuartile))), \
      \(decimal(Double(batch) / seconds.median, 1)) pictures each second
      \(decimal(operationsPerSecond / 1e9, 1)) GFLOP/s of \
      \(decimal(possibleOperationsPerSecond / 1e9, 1)) possible (\(decimal(share, 0)) %)
      \(decimal(Double(peakBytes) / 1e6, 0)) MB of memory at most; \
      \(decimal(secondsToLoad, 2)) s to load, \(decimal(secondsOfFirst, 2)) s for the first time
      """
  }
}
