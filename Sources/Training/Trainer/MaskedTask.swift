import Checkpoints
import Data
import Foundation
import Layers
import Models
import Torch

/// Learning the tokens behind masks (Devlin et al., "BERT", arXiv 1810.04805): the pre-training of
/// language models.
struct MaskedTask: LearningTask {
  private var checkpoint: LanguageCheckpoint
  private let tokenizerFile: String
  private let training: MaskedLoader
  private let validation: MaskedLoader
  private let precision: Precision
  private let device: Device
  let data: RunState.DataSummary
  let words = TaskWords.sequences

  /// - Parameter start: the weights that a resumed run had saved; nil for the recipe's first.
  /// - Throws: `MingleError` for a recipe, text, tokenizer or weights that do not fit.
  init(_ recipe: Recipe, rehearsal: Trainer.Rehearsal?, from start: LanguageCheckpoint?) throws {
    let text = try recipe.requiredText()
    let tokenizer = try openTokenizer(at: text.tokenizer)
    checkpoint = try start ?? recipe.initialCheckpoint(task: .masked, tokenizer: tokenizer)
    let length = checkpoint.model.configuration.sequenceLength

    func sequences(_ path: String) throws -> PackedSequences {
      let corpus = try TokenCorpus(
        TextCorpus(path, options: text.corpus), tokenizer: tokenizer,
        cache: text.cache ?? defaultTokenCache())
      return try PackedSequences(corpus, length: length)
    }
    let parts = try textParts(at: recipe.data)
    var train: PackedSequences
    var test: PackedSequences
    if let path = text.validation ?? parts.validation {
      (train, test) = (try sequences(parts.training), try sequences(path))
    } else {
      (train, test) = try sequences(parts.training).split(holdingOut: recipe.holdOut)
    }
    var options = LoaderOptions.training(
      batchSize: recipe.batchSize, seed: recipe.seed, workers: recipe.workers)
    options.dropsLast = false
    if case .overfit(let batches) = rehearsal {
      train = train.prefix(batches * recipe.batchSize)
      test = train
      options.isShuffled = false
    }
    training = try MaskedLoader(train, masking: text.masking, options: options)
    options.isShuffled = false
    validation = try MaskedLoader(test, masking: text.masking, options: options)
    tokenizerFile = text.tokenizer
    precision = recipe.precision
    device = try Device(parsing: recipe.device)
    data = RunState.DataSummary(
      trainingSamples: train.count, validationSamples: test.count, classNames: [])
  }

  var modelName: String { checkpoint.name }
  var model: any Model { checkpoint.model }
  var provenance: [String: String] {
    get { checkpoint.provenance }
    set { checkpoint.provenance = newValue }
  }

  var unitsPerInput: Int { checkpoint.model.configuration.sequenceLength }
  var batchesPerEpoch: Int { training.batchesPerEpoch }

  func batches(epoch: Int, from start: Int) -> TaskStream<MaskedBatch> {
    let stream = training.batches(epoch: epoch, from: start)
    return TaskStream(next: stream.next)
  }

  func loss(_ batch: MaskedBatch, _ forward: (() -> Tensor) -> Tensor) -> Tensor {
    let logits = forward { maskedLogits(batch) }
    return logits.to(.float32).crossEntropy(batch.labels.to(device))
  }

  /// [M, V]
  private func maskedLogits(_ batch: MaskedBatch) -> Tensor {
    checkpoint.model.maskedLogits(
      batch.tokens.to(device), at: batch.positions.to(device), mask: batch.mask?.to(device))
  }

  func evaluate(
    batchLimit: Int?, onBroken: (BrokenSample) throws -> Void
  ) throws -> ValidationReport {
    checkpoint.model.setMode(.evaluation)
    let stream = validation.batches(epoch: 0)
    var metrics = MaskedTokenMetrics()
    var done = 0
    while done < batchLimit ?? .max, let batch = try stream.next() {
      withoutGradients {
        let logits = withAutocast(precision.autocast, on: device) { maskedLogits(batch) }
          .to(.float32)
        let labels = batch.labels.to(device)
        metrics.add(logits, labels, loss: logits.crossEntropy(labels).item)
      }
      done += 1
    }
    return .masked(MaskedReport(metrics))
  }

  func write(to folder: String) throws {
    try checkpoint.write(to: "\(folder)/model.safetensors")
    try copyTokenizer(from: tokenizerFile, to: folder)
  }
}

extension MaskedBatch: LearningBatch {
  var targetCount: Int { maskedCount }
  var unitCount: Int { tokens.count }
  var broken: [BrokenSample] { [] }
}
