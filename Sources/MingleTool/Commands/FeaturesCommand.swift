import ArgumentParser
import Foundation
import Mingle

/// `mingle features RUN|WEIGHTS PATH --output F`
struct FeaturesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "features",
    abstract: "Write the vectors that a network makes of pictures.",
    discussion: """
      The vectors that enter the classifier, for search, clustering or a classifier of one's own. \
      Writes safetensors: "features" [pictures, width] and, where the data have classes, "labels" \
      [pictures]; the metadata holds "names" and "classes" as JSON lists.

      Example: mingle features runs/flowers holiday/ --output holiday.safetensors
      """)

  @OptionGroup var options: PredictorOptions

  @Argument(help: "A data set, a folder of pictures, or one picture.")
  var path: String

  @Option(help: "The safetensors file to write.")
  var output: String

  @Option(help: "The part of the data, where it has parts.")
  var split = DatasetSplit.test

  @OptionGroup var batch: BatchOption
  @OptionGroup var broken: SkipBrokenOption

  func run() throws {
    let predictor = try options.predictor()
    let dataset = try dataset()
    let loader = try BatchLoader(
      dataset, preprocessing: predictor.checkpoint.preprocessing,
      options: loaderOptions(batchSize: batch.size, skipsBroken: broken.isOn))
    let stream = loader.batches(epoch: 0)
    let progress = ProgressLine()
    var parts: [Tensor] = []
    var indices: [Int] = []
    while let batch = try stream.next() {
      parts.append(predictor.features(batch.images).to(.cpu))
      indices += batch.indices
      progress.show("\(indices.count) of \(dataset.count) pictures")
    }
    progress.clear()
    guard !parts.isEmpty else {
      throw MingleError(.badData, "none of the pictures can be read", in: path)
    }
    if indices.count < dataset.count {
      Console.note("\(dataset.count - indices.count) pictures could not be read: left out")
    }

    var tensors = ["features": Tensor.concatenated(parts)]
    var metadata = [
      "model": predictor.checkpoint.name, "names": try json(indices.map(dataset.sampleName)),
    ]
    if !(dataset is PictureCollection) {
      tensors["labels"] = Tensor(indices.map { Int64(dataset.label(at: $0)) })
      metadata["classes"] = try json(dataset.classNames)
    }
    try Safetensors.write(tensors, metadata: metadata, to: output)
  }

  /// The data set at the path, or its pictures as one without classes.
  private func dataset() throws -> any ImageDataset {
    if let pictures = try PictureCollection(at: path) { return pictures }
    return try openDataset(at: path, split: split)
  }

  private func json(_ names: [String]) throws -> String {
    String(decoding: try JSONEncoder().encode(names), as: UTF8.self)
  }
}
