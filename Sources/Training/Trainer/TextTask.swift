import Data
import Layers
import Models
import Torch

/// Learning the classes of texts or of pairs of texts, or their values: GLUE's tasks.
struct TextTask: LanguageLearningTask {
  var checkpoint: LanguageCheckpoint
  let carried: CarriedTokenizer
  private let training: TextLoader
  private let validation: [(name: String, loader: TextLoader)]
  private let precision: Precision
  private let device: Device
  let data: RunState.DataSummary
  let remarks: [String]
  let words = TaskWords.texts

  /// - Parameter start: what a resumed run had saved; nil for the recipe's first weights.
  /// - Throws: `MingleError` for a recipe, texts, tokenizer or weights that do not fit.
  init(_ recipe: Recipe, rehearsal: Trainer.Rehearsal?, from start: SavedLanguageModel?) throws {
    carried = try start?.carried ?? recipe.carriedTokenizer()
    let text = recipe.text ?? TextRecipe()
    var (train, parts) = try openTextTrainingData(
      at: recipe.data, columns: text.columns, holdingOut: recipe.holdOut, seed: recipe.seed)
    if let target = train.target, case .classes(let names) = target, names.count < 2 {
      throw MingleError(
        .badData, "all texts have the same label", in: train.name, expected: "two classes or more",
        got: names.first.map { "'\($0)'" }, next: "name the column of labels with --label-column")
    }
    checkpoint =
      try start?.checkpoint
      ?? recipe.initialCheckpoint(
        task: .classes, tokenizer: carried.tokenizer, target: train.target)
    let options = recipe.loaderOptions(for: rehearsal)
    if case .overfit(let batches) = rehearsal {
      let count = min(batches, train.count) * recipe.batchSize
      train = train.subset(Array(0..<min(train.count, count)))
      parts = [TextPart(name: "training", examples: train)]
    }
    let encoder = try PairEncoder(carried.tokenizer, length: checkpoint.requiredTextLength())
    let padding = type(of: checkpoint.model).textPadding
    func loader(_ examples: TextExamples, _ options: LoaderOptions) throws -> TextLoader {
      let encoded = try EncodedExamples(examples, encoder: encoder, workers: recipe.workers)
      return try TextLoader(encoded, options: options, padding: padding)
    }
    training = try loader(train, options.training)
    validation = try parts.map { ($0.name, try loader($0.examples, options.validation)) }
    precision = recipe.precision
    device = try Device(parsing: recipe.device)
    data = RunState.DataSummary(
      trainingSamples: train.count, validationSamples: parts.reduce(0) { $0 + $1.examples.count },
      classNames: checkpoint.labels ?? [],
      contents: ([training] + validation.map(\.loader)).map(\.data.contentHash))
    remarks = withoutRepetitions(
      ([training] + validation.map(\.loader)).map { ($0.data.fileRemarks, $0.data.cutRemarks) })
  }

  var unitsPerInput: Int { 1 }
  var batchesPerEpoch: Int { training.batchesPerEpoch }

  func batches(epoch: Int, from start: Int) -> TaskStream<TextBatch> {
    TaskStream(next: training.batches(epoch: epoch, from: start).next)
  }

  func loss(_ batch: TextBatch, _ forward: (() -> Tensor) -> Tensor) -> Tensor {
    let logits = forward { checkpoint.model.logits(batch, on: device) }.to(.float32)
    guard let labels = batch.labels?.to(device) else {
      preconditionFailure("texts without labels to learn from")
    }
    return textLoss(logits, labels)
  }

  func evaluate(
    batchLimit: Int?, onBroken: (BrokenSample) throws -> Void
  ) throws -> ValidationReport {
    .texts(
      TextReport(
        try validation.map { name, loader in
          try Training.evaluate(
            checkpoint.model, on: loader, named: name, classNames: checkpoint.labels,
            precision: precision, batchLimit: batchLimit)
        }))
  }
}

extension TextBatch: LearningBatch {
  var targetCount: Int { count }
  var unitCount: Int { count }
  var broken: [BrokenSample] { [] }
}

extension EncodedExamples {
  /// What a user should know about the texts, a line for each kind.
  package var remarks: [String] { fileRemarks + cutRemarks }

  /// What reading the file showed.
  var fileRemarks: [String] { examples.report.remarks.map { "\(examples.name): \($0)" } }

  /// What these texts alone showed, of all that the file holds.
  var cutRemarks: [String] {
    cutCount > 0
      ? ["\(examples.name): \(cutCount) texts longer than \(encoder.length) tokens, cut"] : []
  }
}
