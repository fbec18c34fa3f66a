import ArgumentParser
import Foundation
import Mingle

/// `mingle evaluate RUN|WEIGHTS --data PATH`
struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure how often a network is right.",
    discussion: """
      Prints accuracy, loss, each class's precision and recall, and the confusion matrix. The data \
      are a folder with a folder of pictures for each class, a tar file of such, CSV, CIFAR or IDX \
      files; where they have parts, --split chooses one. Where a run held out a share of the same \
      data, that share is taken.

      Example: mingle evaluate runs/flowers --data flowers --split test
      """)

  @OptionGroup var options: PredictorOptions

  @Option(help: "The pictures and their classes.")
  var data: String

  @Option(help: "The part of the data, where it has parts.")
  var split = DatasetSplit.test

  @OptionGroup var batch: BatchOption
  @OptionGroup var broken: SkipBrokenOption
  @OptionGroup var json: JSONOption

  func run() throws {
    let predictor = try options.predictor()
    let dataset =
      try heldOutData() ?? openDataset(at: data, split: split, fitting: predictor.checkpoint)
    let loader = try BatchLoader(
      dataset, preprocessing: predictor.checkpoint.preprocessing,
      options: loaderOptions(batchSize: batch.size, skipsBroken: broken.isOn))
    let progress = ProgressLine()
    let report = try Mingle.evaluate(
      predictor.checkpoint.model, on: loader, precision: predictor.precision
    ) { done in
      progress.show("\(min(done * batch.size, dataset.count)) of \(dataset.count) pictures")
    }
    progress.clear()
    if report.samples < dataset.count {
      Console.note("\(dataset.count - report.samples) pictures could not be read: left out")
    }
    if json.isOn { try Console.printJSON(report) } else { try Console.print(report.table) }
  }
}

extension EvaluateCommand {
  /// The share of the data that the run did not learn from (or did, for `--split train`), where the
  /// data have no part of their own for that; nil if these are not the run's data.
  private func heldOutData() throws -> (any ImageDataset)? {
    let config = options.weights + "/config.yaml"
    guard FileManager.default.fileExists(atPath: config) else { return nil }
    let recipe = try Recipe(contentsOf: config)
    func path(_ text: String) -> String { URL(filePath: text).standardizedFileURL.path }
    let parts = try datasetParts(at: data)
    guard path(recipe.data) == path(data), parts == nil || parts == [.train] else { return nil }
    let split = try openTrainingData(at: data, holdingOut: recipe.holdOut, seed: recipe.seed)
    let dataset = self.split == .train ? split.train : split.test
    Console.note(
      "evaluating the \(dataset.count) pictures that the run "
        + (self.split == .train ? "learned from" : "held out"))
    return dataset
  }
}

/// How a command reads data that it goes through once.
func loaderOptions(batchSize: Int, skipsBroken: Bool) -> LoaderOptions {
  var options = LoaderOptions.evaluation(
    batchSize: batchSize, workers: ProcessInfo.processInfo.activeProcessorCount)
  options.skipsBroken = skipsBroken
  options.cacheBytes = 0
  return options
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
/// - Throws: ``MingleError`` (`badData`) that names the classes that do not fit.
func openDataset(
  at path: String, split: DatasetSplit, fitting checkpoint: ModelCheckpoint
) throws -> any ImageDataset {
  let dataset = try openDataset(at: path, split: split)
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
  return try openDataset(at: path, split: split, classNames: labels)
}
