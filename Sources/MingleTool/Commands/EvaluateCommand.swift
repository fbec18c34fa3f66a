import ArgumentParser
import Foundation
import Mingle

/// `mingle evaluate RUN|WEIGHTS --data PATH`
struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure how often a network is right.",
    discussion: """
      Of pictures and texts it prints accuracy, loss, each class's precision and recall, and the \
      confusion matrix; of values their correlations; of questions exact match and F1; of a language \
      model without a task perplexity. Pictures are a folder with a folder of pictures for each class, a tar file of such, CSV, CIFAR or IDX \
      files; where they have parts, --split chooses one. Data without parts that a run was trained \
      on are split as for training: the run is measured on the pictures that it held out.

      With --precision int8 it also tells what that changes; weights that 'mingle calibrate' has seen \
      are used as calibrated.

      Texts are what 'mingle train' and 'mingle pretrain' take.

      Examples:
        mingle evaluate runs/flowers --data flowers --split test
        mingle evaluate runs/mnli --data MNLI
      """)

  @OptionGroup var options: PredictorOptions

  @Option(help: "The pictures or texts and their classes, or what the model was trained for.")
  var data: String

  @Option(
    help:
      "The part of the data, where it has parts; unless given, test for pictures, else validation.")
  var split: DatasetSplit?

  @OptionGroup var batch: BatchOption
  @OptionGroup var broken: SkipBrokenOption
  @OptionGroup var text: TextEvaluationOptions
  @OptionGroup var json: JSONOption

  func run() throws {
    let entry = try ModelRegistry.entry(
      ofWeightsAt: options.weights, model: options.reading.model)
    switch entry.input {
    case .pictures: try evaluatePictures()
    case .text: try evaluateText()
    }
  }

  private func evaluatePictures() throws {
    let predictor = try options.predictor()
    let (dataset, note) = try openData(fitting: predictor.checkpoint)
    let loader = try BatchLoader(
      dataset, preprocessing: predictor.checkpoint.preprocessing,
      options: loaderOptions(batchSize: batch.size, skipsBroken: broken.isOn))
    let report = try measured(predictor, on: loader)
    if predictor.precision == .int8 {
      let exact = try measured(
        Predictor(predictor.checkpoint, device: predictor.device), on: loader)
      Console.note(
        "in fp32 the accuracy is \(percent(exact.accuracy)): int8 changes it by "
          + "\(decimal(100 * (report.accuracy - exact.accuracy), 2)) points")
    }
    if let note { Console.note(note) }
    if report.samples < dataset.count {
      Console.note("\(dataset.count - report.samples) pictures could not be read: left out")
    }
    if json.isOn { try Console.printJSON(report) } else { try Console.print(report.table) }
  }

  private func measured(
    _ predictor: Predictor, on loader: BatchLoader
  ) throws -> ClassificationReport {
    let progress = ProgressLine()
    defer { progress.clear() }
    let count = loader.dataset.count
    return try Mingle.evaluate(
      classCount: predictor.checkpoint.model.configuration.classes, on: loader,
      onBatch: { progress.show("\(min($0 * batch.size, count)) of \(count) pictures") }
    ) { predictor.logits($0) }
  }

  /// Opens the pictures to measure on, and tells what is to be known of data without parts.
  private func openData(
    fitting checkpoint: ModelCheckpoint
  ) throws -> (dataset: any ImageDataset, note: String?) {
    let parts = try datasetParts(at: data)
    let split = split ?? .test
    guard parts == nil || parts == [.train], let recipe = try recipe(),
      isSameFile(recipe.data, data)
    else {
      let dataset = try openDataset(in: data, fitting: checkpoint) {
        try openDataset(at: data, split: split, classNames: $0)
      }
      let note =
        "the data have no test part: all \(dataset.count) pictures are used, also any that were "
        + "trained on"
      return (dataset, parts == nil ? note : nil)
    }
    let dataset = try openDataset(in: data, fitting: checkpoint) {
      let parts = try openTrainingData(
        at: data, holdingOut: recipe.holdOut, seed: recipe.seed, classNames: $0)
      return split == .train ? parts.train : parts.test
    }
    let part = split == .train ? "was trained on" : "held out"
    return (
      dataset,
      "the data have no test part: the \(dataset.count) pictures that the run \(part) are used"
    )
  }

  /// The recipe of the run whose weights are measured; nil for a file of weights.
  func recipe() throws -> Recipe? { try MingleTool.recipe(ofRunAt: options.weights) }
}

func isSameFile(_ path: String, _ other: String) -> Bool {
  URL(filePath: path).resolvingSymlinksInPath().path
    == URL(filePath: other).resolvingSymlinksInPath().path
}

/// How a command reads data that it goes through once.
func loaderOptions(batchSize: Int, skipsBroken: Bool) -> LoaderOptions {
  var options = LoaderOptions.evaluation(
    batchSize: batchSize, workers: ProcessInfo.processInfo.activeProcessorCount)
  options.skipsBroken = skipsBroken
  options.cacheBytes = 0
  return options
}

/// How texts to measure on are read.
struct TextEvaluationOptions: ParsableArguments {
  @OptionGroup var tokenizer: TokenizerOption

  @OptionGroup var columns: ColumnOptions
}

/// What to do with pictures that cannot be read.
struct SkipBrokenOption: ParsableArguments {
  @Flag(
    name: .customLong("skip-broken"),
    help: "Leave out pictures that cannot be read, instead of stopping at the first.")
  var isOn = false
}

extension DatasetSplit: ExpressibleByArgument {}

/// Opens data whose classes must be those of a model, or some of them.
///
/// - Parameter open: opens the data with the given class order, or its own.
/// - Throws: `MingleError` (`badData`) that names the classes that do not fit.
func openDataset(
  in path: String, fitting checkpoint: ModelCheckpoint,
  _ open: ([String]?) throws -> any ImageDataset
) throws -> any ImageDataset {
  let dataset = try open(nil)
  let count = checkpoint.model.configuration.classes
  guard let labels = checkpoint.labels else {
    guard dataset.classCount == count else {
      throw MingleError(
        .badData, "the data's classes are not the model's", in: path,
        expected: "\(count) classes", got: "\(dataset.classCount)",
        next: "use data with all classes of the model, or the weights of a run on these data")
    }
    return dataset
  }
  if dataset.classNames == labels { return dataset }
  let unknown = dataset.classNames.filter { !labels.contains($0) }
  guard unknown.isEmpty else {
    func listed(_ names: [String]) -> String {
      names.prefix(5).joined(separator: ", ") + (names.count > 5 ? ", ..." : "")
    }
    throw MingleError(
      .badData, "\(unknown.count) of the data's \(dataset.classCount) classes are not the model's",
      in: path, expected: "\(labels.count) classes (\(listed(labels)))", got: listed(unknown),
      next: "rename or remove them")
  }
  return try open(labels)
}
