import Data
import Layers
import Models
import Torch

/// Learning the tokens behind masks (Devlin et al., "BERT", arXiv 1810.04805): the pre-training of
/// language models.
struct MaskedTask: LanguageLearningTask {
  var checkpoint: LanguageCheckpoint
  let carried: CarriedTokenizer
  private let training: MaskedLoader
  private let validation: MaskedLoader
  private let precision: Precision
  private let device: Device
  let data: RunState.DataSummary
  let remarks: [String]
  let words = TaskWords.sequences

  /// - Parameter start: what a resumed run had saved; nil for the recipe's first weights.
  /// - Throws: `MingleError` for a recipe, text, tokenizer or weights that do not fit.
  init(_ recipe: Recipe, rehearsal: Trainer.Rehearsal?, from start: SavedLanguageModel?) throws {
    carried = try start?.carried ?? recipe.carriedTokenizer()
    let tokenizer = carried.tokenizer
    checkpoint =
      try start?.checkpoint ?? recipe.initialCheckpoint(task: .masked, tokenizer: tokenizer)
    let length = checkpoint.model.configuration.sequenceLength
    let text = recipe.text ?? TextRecipe()

    func sequences(_ split: DatasetSplit) throws -> PackedSequences {
      try openSequences(
        at: recipe.data, split: split, length: length, tokenizer: tokenizer, options: text,
        holdOut: recipe.holdOut)
    }
    var (train, test) = (try sequences(.train), try sequences(.validation))
    if case .overfit(let batches) = rehearsal {
      train = train.prefix(min(batches, train.count) * recipe.batchSize)
      test = train
    }
    let options = recipe.loaderOptions(for: rehearsal)
    training = try MaskedLoader(train, masking: text.masking, options: options.training)
    validation = try MaskedLoader(test, masking: text.masking, options: options.validation)
    precision = recipe.precision
    device = try Device(parsing: recipe.device)
    let isOneText = train.corpus.path == test.corpus.path
    data = RunState.DataSummary(
      trainingSamples: train.count, validationSamples: test.count,
      contents: (isOneText ? [train] : [train, test]).map(\.corpus.contentHash))
    remarks = train.remarks + (isOneText ? [] : test.remarks)
  }

  var unitsPerInput: Int { checkpoint.model.configuration.sequenceLength }
  var batchesPerEpoch: Int { training.batchesPerEpoch }

  func batches(epoch: Int, from start: Int) -> TaskStream<MaskedBatch> {
    TaskStream(next: training.batches(epoch: epoch, from: start).next)
  }

  func loss(_ batch: MaskedBatch, _ forward: (() -> Tensor) -> Tensor) -> Tensor {
    let logits = forward { checkpoint.model.maskedLogits(batch, on: device) }.to(.float32)
    // Sequences of unknown tokens alone have nothing to find; their mean would not be a number.
    return batch.maskedCount > 0 ? logits.crossEntropy(batch.labels.to(device)) : logits.sum()
  }

  func evaluate(
    batchLimit: Int?, onBroken: (BrokenSample) throws -> Void
  ) throws -> ValidationReport {
    .masked(
      try Training.evaluate(
        checkpoint.model, on: validation, precision: precision, batchLimit: batchLimit))
  }
}

extension MaskedBatch: LearningBatch {
  var targetCount: Int { maskedCount }
  var unitCount: Int { tokens.count }
  var broken: [BrokenSample] { [] }
}

extension PackedSequences {
  /// What a user should know about the text, a line for each kind.
  package var remarks: [String] { corpus.report.remarks.map { "\(corpus.name): \($0)" } }
}
