import ArgumentParser
import Foundation
import Mingle

/// `mingle calibrate RUN|WEIGHTS`
struct CalibrateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "calibrate",
    abstract: "Prepare a network for 8-bit products, and measure what they cost.",
    usage: "mingle calibrate [<options>] <weights>",
    discussion: """
      Computes some pictures of the training part to find the ranges in which each layer's numbers \
      are best rounded to 8 bits, and the layers that lose too much by it, which stay in bf16. Then it \
      measures the accuracy in each precision on the validation part, or else the test part; data \
      without parts are split as the run split them. The result is calibration.json beside \
      model.safetensors, NAME.calibration.json beside other files: 'mingle predict', 'evaluate', \
      'features' and 'bench' use it with --precision int8.

      Example: mingle calibrate runs/flowers
      """)

  @Argument(help: "A run's folder (its best weights are used) or a file of weights.")
  var weights: String

  @Option(help: "The pictures and their classes; unless given, those that the run was trained on.")
  var data: String?

  @Option(help: ArgumentHelp("Pictures of the training part to compute.", valueName: "count"))
  var pictures = 256

  @OptionGroup var reading: WeightOptions
  @OptionGroup var batch: BatchOption
  @OptionGroup var broken: SkipBrokenOption

  @Option(help: ArgumentHelp("CPU threads; by default one for each core.", valueName: "count"))
  var threads: Int?

  @OptionGroup var json: JSONOption

  func validate() throws {
    guard (1...4096).contains(pictures) else {
      throw ValidationError("--pictures must be from 1 to 4096, not \(pictures)")
    }
  }

  func run() throws {
    try DeviceOptions.use(threads: threads)
    let entry = try ModelRegistry.entry(ofWeightsAt: weights, model: reading.model)
    guard entry.input == .pictures else {
      throw MingleError(
        .usage, "only networks that read pictures compute in int8", in: weights, got: entry.name)
    }
    let checkpoint = try ModelCheckpoint.load(weights, reading.loadOptions())
    let (training, validation) = try openData(fitting: checkpoint)
    let calibration = try calibrate(checkpoint, on: training)
    let file = try Calibration.path(forWeightsAt: weights)
    let report = CalibrationReport(
      calibration, try accuracies(of: checkpoint, calibration, on: validation), in: file)
    try calibration.write(to: file)
    if json.isOn { try Console.printJSON(report) } else { try Console.print(report.text) }
  }

  /// The pictures to calibrate on and those to measure on.
  private func openData(
    fitting checkpoint: ModelCheckpoint
  ) throws -> (training: any ImageDataset, validation: any ImageDataset) {
    let recipe = try recipe(ofRunAt: weights)
    guard let path = data ?? recipe?.data else {
      throw MingleError(
        .usage, "a file of weights does not tell its data", in: weights, next: "pass --data PATH")
    }
    let isOwn = recipe.map { isSameFile($0.data, path) } ?? false
    func open(_ part: ((train: any ImageDataset, test: any ImageDataset)) -> any ImageDataset)
      throws -> any ImageDataset
    {
      try openDataset(in: path, fitting: checkpoint) { names in
        guard let recipe, isOwn else {
          return part(try openTrainingData(at: path, classNames: names))
        }
        return part(
          try openTrainingData(
            at: path, holdingOut: recipe.holdOut, seed: recipe.seed, classNames: names))
      }
    }
    return (try open { $0.train }, try open { $0.test })
  }

  /// Takes pictures in a random order, which is always the same.
  private func calibrate(
    _ checkpoint: ModelCheckpoint, on dataset: any ImageDataset
  ) throws -> Calibration {
    var options = loaderOptions(batchSize: min(32, pictures), skipsBroken: broken.isOn)
    options.isShuffled = true
    let loader = try BatchLoader(
      dataset, preprocessing: checkpoint.preprocessing, options: options)
    let stream = loader.batches(epoch: 0)
    var inputs: [Tensor] = []
    var count = 0
    while count < pictures, let batch = try stream.next() {
      let images = batch.images.narrowed(0, 0..<min(batch.count, pictures - count))
      inputs.append(images)
      count += images.shape[0]
    }
    guard count > 0 else {
      throw MingleError(.badData, "none of the pictures can be read", in: dataset.name)
    }
    let progress = ProgressLine()
    defer { progress.clear() }
    return try Calibration(of: checkpoint.model, on: inputs) { done, all in
      progress.show("calibrating: \(100 * done / all) %")
    }
  }

  /// The accuracy in each precision, on the same pictures.
  private func accuracies(
    of checkpoint: ModelCheckpoint, _ calibration: Calibration, on dataset: any ImageDataset
  ) throws -> [MeasuredAccuracy] {
    let loader = try BatchLoader(
      dataset, preprocessing: checkpoint.preprocessing,
      options: loaderOptions(batchSize: batch.size, skipsBroken: broken.isOn))
    let progress = ProgressLine()
    defer { progress.clear() }
    let ways: [(InferencePrecision, Calibration?)] = [
      (.float32, nil), (.bfloat16, nil), (.int8, nil), (.int8, calibration),
    ]
    var exact: Double?
    return try ways.map { precision, calibration in
      let predictor = try Predictor(checkpoint, precision: precision, calibration: calibration)
      let report = try Mingle.evaluate(
        classCount: checkpoint.model.configuration.classes, on: loader,
        onBatch: { done in
          let count = min(done * batch.size, dataset.count)
          progress.show("\(precision.rawValue): \(count) of \(dataset.count) pictures")
        }
      ) { predictor.logits($0) }
      exact = exact ?? report.accuracy
      return MeasuredAccuracy(
        precision: precision, isCalibrated: calibration != nil, samples: report.samples,
        accuracy: report.accuracy, change: report.accuracy - (exact ?? report.accuracy))
    }
  }
}

/// How often a network is right in a precision.
private struct MeasuredAccuracy: Encodable {
  let precision: InferencePrecision
  let isCalibrated: Bool
  /// How many pictures it was measured on.
  let samples: Int
  let accuracy: Double
  /// From the accuracy in fp32.
  let change: Double
}

/// What `mingle calibrate` found.
private struct CalibrationReport: Encodable {
  /// How many pictures the ranges are from.
  let pictures: Int
  let accuracies: [MeasuredAccuracy]
  let layers: [Calibration.Step]
  /// The file that was written.
  let output: String

  init(_ calibration: Calibration, _ accuracies: [MeasuredAccuracy], in file: String) {
    (pictures, layers) = (calibration.samples, calibration.steps)
    (self.accuracies, output) = (accuracies, file)
  }

  var text: String {
    var table = Table([("", .left), ("accuracy", .right), ("change in points", .right)])
    for row in accuracies {
      table.add([
        row.precision.rawValue + (row.isCalibrated ? " calibrated" : ""), percent(row.accuracy),
        row.precision == .float32 ? "" : String(format: "%+.2f", 100 * row.change),
      ])
    }
    let inBytes = layers.count { $0.products == .bytes }
    let ownRanges = layers.count { $0.products == .bytes && $0.input == nil }
    let exact = layers.filter { $0.products == .bfloat16 }.map { layer in
      let name = layer.layer.isEmpty ? layer.sizes : layer.layer
      return "\n  \(name): \(decimal(100 * layer.error, 1)) %"
    }
    let ranges =
      ownRanges == 0
      ? "in ranges that are known beforehand"
      : "\(inBytes - ownRanges) of them in ranges that are known beforehand"
    let kept =
      exact.isEmpty
      ? "" : "\nIn bf16 stay, for what products of bytes would change in their results:"
    return """
      \(table.text)

      On \(accuracies[0].samples) pictures, after calibration on \(pictures) of the training part.
      \(inBytes) of \(layers.count) layers and pairs of layers multiply bytes, \
      \(ranges).\(kept)\(exact.joined())

      Written to \(output)
      """
  }
}
