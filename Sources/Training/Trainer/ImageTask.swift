import Checkpoints
import Data
import Foundation
import Layers
import Models
import Torch

/// Learning the classes of pictures.
struct ImageTask: LearningTask {
  private var checkpoint: ModelCheckpoint
  private let training: BatchLoader
  private let validation: BatchLoader
  private let loss: Loss
  private let precision: Precision
  private let device: Device
  let data: RunState.DataSummary
  let words = TaskWords.pictures

  /// - Parameter start: the weights that a resumed run had saved; nil for the recipe's first.
  /// - Throws: `MingleError` for a recipe, data or weights that do not fit.
  init(_ recipe: Recipe, rehearsal: Trainer.Rehearsal?, from start: ModelCheckpoint?) throws {
    var (train, test) = try openTrainingData(
      at: recipe.data, holdingOut: recipe.holdOut, seed: recipe.seed)
    var augmentation = recipe.augmentation
    if case .overfit(let batches) = rehearsal {
      var random = RandomNumbers(seed: recipe.seed, .order)
      let order = Array(0..<train.count).shuffled(using: &random)
      let count = min(batches, 1 + train.count / recipe.batchSize) * recipe.batchSize
      train = DatasetSubset(train, indices: Array(order.prefix(count)))
      test = train
      augmentation = .none
    }
    checkpoint = try start ?? recipe.initialCheckpoint(classNames: train.classNames)
    let options = recipe.loaderOptions(for: nil)
    training = try BatchLoader(
      train, preprocessing: checkpoint.preprocessing, augmentation: augmentation,
      options: options.training)
    validation = try BatchLoader(
      test, preprocessing: checkpoint.preprocessing, options: options.validation)
    loss = recipe.loss
    precision = recipe.precision
    device = try Device(parsing: recipe.device)
    data = RunState.DataSummary(
      trainingSamples: train.count, validationSamples: test.count, classNames: train.classNames)
  }

  var modelName: String { checkpoint.name }
  var model: any Model { checkpoint.model }
  var provenance: [String: String] {
    get { checkpoint.provenance }
    set { checkpoint.provenance = newValue }
  }

  var unitsPerInput: Int { 1 }
  var batchesPerEpoch: Int { training.batchesPerEpoch }

  func batches(epoch: Int, from start: Int) -> TaskStream<Batch> {
    let stream = training.batches(epoch: epoch, from: start, on: device)
    return TaskStream(next: stream.next, broken: { stream.broken })
  }

  func loss(_ batch: Batch, _ forward: (() -> Tensor) -> Tensor) -> Tensor {
    let logits = forward { checkpoint.model.logits(batch.images) }
    return loss(logits, batch.labels, batch.targets)
  }

  func evaluate(
    batchLimit: Int?, onBroken: (BrokenSample) throws -> Void
  ) throws -> ValidationReport {
    .classes(
      try Training.evaluate(
        checkpoint.model, on: validation, loss: loss, precision: precision, batchLimit: batchLimit,
        onBroken: onBroken))
  }

  func write(to folder: String) throws {
    try checkpoint.write(to: "\(folder)/model.safetensors")
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    let preprocessing = String(
      decoding: try encoder.encode(checkpoint.preprocessing), as: UTF8.self)
    try writeAtomically(preprocessing + "\n", to: "\(folder)/preprocess.json")
    let labels = (checkpoint.labels ?? []).map { $0 + "\n" }.joined()
    try writeAtomically(labels, to: "\(folder)/labels.txt")
  }
}

extension Batch: LearningBatch {
  var targetCount: Int { count }
  var unitCount: Int { count }
}
