import ArgumentParser
import Foundation
import Mingle

// Measuring language models.

extension EvaluateCommand {
  /// Measures a language model on `split` of the data, or else on the part for validation.
  func evaluateText() throws {
    let device = try options.device.start()
    let model = try LoadedLanguageModel(
      options.weights, tokenizer: text.tokenizer.file, options.reading.loadOptions(),
      precision: options.precision.withoutBytes(), device: device)
    switch model.task {
    case .masked: try show(maskedReport(model)) { $0.table }
    case .classes: try show(textReport(model)) { $0.table }
    case .span: try show(questionReport(model)) { $0.table }
    }
  }

  private func show<Report: Encodable>(_ report: Report, _ table: (Report) -> String) throws {
    if json.isOn { try Console.printJSON(report) } else { try Console.print(table(report)) }
  }

  private func maskedReport(_ model: LoadedLanguageModel) throws -> MaskedReport {
    let recipe = try recipe()
    let length = model.checkpoint.model.configuration.sequenceLength
    let held = holdOut(recipe)
    var text = recipe?.text ?? TextRecipe()
    if held == nil { text.validation = nil }  // it belongs to the data of the run
    let sequences = try openSequences(
      at: data, split: split ?? .validation, length: length, tokenizer: model.tokenizer,
      options: text, holdOut: held?.share)
    note(sequences.remarks)
    let loader = try MaskedLoader(
      sequences, masking: recipe?.text?.masking ?? Masking(),
      options: evaluationOptions(seed: recipe?.seed ?? 0))
    return try withProgress(of: sequences.count, "sequences") { onBatch in
      try Mingle.evaluate(
        model.checkpoint.model, on: loader, logits: model.maskedLogits, onBatch: onBatch)
    }
  }

  private func textReport(_ model: LoadedLanguageModel) throws -> TextReport {
    let recipe = try recipe()
    let target: TextTarget? =
      model.checkpoint.labels.map { .classes($0) }
      ?? (model.checkpoint.model.configuration.classes == 1 ? .value : nil)
    let parts = try openTextData(
      at: data, split: split ?? .validation,
      columns: text.columns.apply(to: recipe?.text?.columns ?? TextColumns()), target: target,
      holdOut: holdOut(recipe))
    let encoder = try model.encoder()
    let padding = type(of: model.checkpoint.model).textPadding
    return TextReport(
      try parts.map { part in
        try requireClasses(of: part, model.checkpoint)
        let encoded = try EncodedExamples(part.examples, encoder: encoder, workers: workers)
        note(encoded.remarks)
        let loader = try TextLoader(encoded, options: evaluationOptions(), padding: padding)
        return try withProgress(of: encoded.count, "texts") { onBatch in
          try Mingle.evaluate(
            model.checkpoint.model, on: loader, named: part.name,
            classNames: model.checkpoint.labels, logits: model.logits, onBatch: onBatch)
        }
      })
  }

  /// - Throws: `MingleError` (`badData`) where the labels of a model without names are not its own.
  private func requireClasses(of part: TextPart, _ checkpoint: LanguageCheckpoint) throws {
    guard case .classes(let names) = part.examples.target, checkpoint.labels == nil,
      names.count != checkpoint.model.configuration.classes
    else { return }
    throw MingleError(
      .badData, "the data's classes are not the model's", in: part.examples.name,
      expected: "\(checkpoint.model.configuration.classes) classes", got: "\(names.count)")
  }

  private func questionReport(_ model: LoadedLanguageModel) throws -> QuestionReport {
    let recipe = try recipe()
    let questions = try openQuestions(
      at: data, split: split ?? .validation, holdOut: holdOut(recipe))
    let windows = try SQuADWindows(
      questions, encoder: model.encoder(),
      options: recipe?.text?.windows ?? SQuADWindowOptions(), isForTraining: true,
      workers: workers)
    note(windows.remarks)
    let loader = try SQuADLoader(
      windows, options: evaluationOptions(), padding: type(of: model.checkpoint.model).textPadding)
    return try withProgress(of: windows.windows.count, "windows") { onBatch in
      try Mingle.evaluate(
        model.checkpoint.model, on: loader, options: model.checkpoint.answerOptions,
        logits: model.logits, onBatch: onBatch)
    }
  }

  /// What the run whose weights are measured held out of these data; nil for others.
  private func holdOut(_ recipe: Recipe?) -> (share: Double, seed: UInt64)? {
    guard let recipe, isSameFile(recipe.data, data) else { return nil }
    return (recipe.holdOut, recipe.seed)
  }

  private var workers: Int { ProcessInfo.processInfo.activeProcessorCount }

  private func evaluationOptions(seed: UInt64 = 0) -> LoaderOptions {
    var options = loaderOptions(batchSize: batch.size, skipsBroken: false)
    options.seed = seed
    return options
  }

  private func note(_ remarks: [String]) {
    for remark in remarks { Console.note(remark) }
  }

  private func withProgress<Report>(
    of count: Int, _ samples: String, _ body: ((Int) throws -> Void) throws -> Report
  ) throws -> Report {
    let progress = ProgressLine()
    defer { progress.clear() }
    return try body { progress.show("\($0) of \(count) \(samples)") }
  }
}
