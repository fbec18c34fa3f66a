import Data
import Layers
import Models
import Torch

/// Learning where in a text the answer to a question stands (SQuAD).
struct QuestionTask: LanguageLearningTask {
  var checkpoint: LanguageCheckpoint
  let carried: CarriedTokenizer
  private let training: SQuADLoader
  private let validation: SQuADLoader
  private let answers: SQuADAnswerOptions
  private let precision: Precision
  private let device: Device
  let data: RunState.DataSummary
  let remarks: [String]
  let words = TaskWords.windows

  /// - Parameter start: what a resumed run had saved; nil for the recipe's first weights.
  /// - Throws: `MingleError` for a recipe, questions, tokenizer or weights that do not fit.
  init(_ recipe: Recipe, rehearsal: Trainer.Rehearsal?, from start: SavedLanguageModel?) throws {
    carried = try start?.carried ?? recipe.carriedTokenizer()
    let text = recipe.text ?? TextRecipe()
    var (train, test) = try openTrainingQuestions(
      at: recipe.data, holdingOut: recipe.holdOut, seed: recipe.seed)
    checkpoint =
      try start?.checkpoint
      ?? recipe.initialCheckpoint(task: .span, tokenizer: carried.tokenizer)
    checkpoint.reading.allowsNone = train.hasImpossible
    let options = recipe.loaderOptions(for: rehearsal)
    if case .overfit(let batches) = rehearsal {
      train = train.first(min(batches, train.questions.count) * recipe.batchSize)
      test = train
    }
    let encoder = try PairEncoder(carried.tokenizer, length: checkpoint.requiredTextLength())
    let padding = type(of: checkpoint.model).textPadding
    func windows(_ data: SQuAD) throws -> SQuADWindows {
      try SQuADWindows(
        data, encoder: encoder, options: text.windows, isForTraining: true,
        workers: recipe.workers)
    }
    let (learned, held) = (try windows(train), try windows(test))
    training = try SQuADLoader(learned, options: options.training, padding: padding)
    validation = try SQuADLoader(held, options: options.validation, padding: padding)
    answers = checkpoint.answerOptions
    precision = recipe.precision
    device = try Device(parsing: recipe.device)
    data = RunState.DataSummary(
      trainingSamples: learned.windows.count, validationSamples: held.windows.count,
      contents: [learned, held].map(\.contentHash))
    remarks = withoutRepetitions(
      [learned, held].map { ($0.fileRemarks, $0.windowRemarks) })
  }

  var unitsPerInput: Int { 1 }
  var batchesPerEpoch: Int { training.batchesPerEpoch }

  func batches(epoch: Int, from start: Int) -> TaskStream<SQuADBatch> {
    TaskStream(next: training.batches(epoch: epoch, from: start).next)
  }

  func loss(_ batch: SQuADBatch, _ forward: (() -> Tensor) -> Tensor) -> Tensor {
    let logits = forward { checkpoint.model.logits(batch.texts, on: device) }.to(.float32)
    guard let spans = batch.spans?.to(device) else {
      preconditionFailure("questions without answers to learn from")
    }
    return spanLoss(logits, spans)
  }

  func evaluate(
    batchLimit: Int?, onBroken: (BrokenSample) throws -> Void
  ) throws -> ValidationReport {
    .questions(
      try Training.evaluate(
        checkpoint.model, on: validation, options: answers, precision: precision,
        batchLimit: batchLimit))
  }
}

extension SQuADBatch: LearningBatch {
  var targetCount: Int { count }
  var unitCount: Int { count }
  var broken: [BrokenSample] { [] }
}

extension SQuADWindows {
  /// What a user should know about the questions, a line for each kind.
  package var remarks: [String] { fileRemarks + windowRemarks }

  /// What reading the file showed.
  var fileRemarks: [String] { data.remarks.map { "\(data.name): \($0)" } }

  /// What these questions alone showed, of all that the file holds.
  var windowRemarks: [String] {
    [
      (cutQuestions, "questions too long, cut"),
      (lostAnswers, "answers that no window holds whole"),
    ].filter { $0.0 > 0 }.map { "\(data.name): \($0) \($1)" }
  }
}
