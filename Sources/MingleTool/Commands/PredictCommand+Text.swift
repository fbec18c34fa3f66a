import ArgumentParser
import Mingle

// Telling what texts are.

/// The texts that `mingle predict` takes in place of pictures.
struct TextArguments: ParsableArguments {
  @Option(help: ArgumentHelp("A text, for a language model. Repeatable.", valueName: "text"))
  var text: [String] = []

  @Option(
    help: ArgumentHelp(
      "The second text, for a model of pairs: one for each --text.", valueName: "text"))
  var pair: [String] = []

  @OptionGroup var tokenizer: TokenizerOption

  func validate() throws {
    guard pair.isEmpty || pair.count == text.count else {
      throw ValidationError("\(text.count) --text but \(pair.count) --pair")
    }
  }
}

extension PredictCommand {
  func predictTexts() throws {
    let device = try options.device.start()
    let classifier = try TextClassifier(
      LoadedLanguageModel(
        options.weights, tokenizer: texts.tokenizer.file, options.reading.loadOptions(),
        precision: options.precision.withoutBytes(), device: device))
    let inputs = texts.text.enumerated().map { index, text in
      (text: text, pair: texts.pair.isEmpty ? nil : texts.pair[index])
    }
    let answers: [TextAnswer]
    if classifier.givesValues {
      answers = zip(inputs, try classifier.values(of: inputs)).map {
        TextAnswer(text: $0.text, pair: $0.pair, value: $1.value, isCut: $1.isCut)
      }
    } else {
      answers = zip(inputs, try classifier.classify(inputs, top: topK)).map {
        TextAnswer(text: $0.text, pair: $0.pair, predictions: $1.predictions, isCut: $1.isCut)
      }
    }
    for answer in answers where answer.isCut {
      Console.note(
        "'\(answer.text.prefix(40))...' is longer than "
          + "\(classifier.model.checkpoint.textLength) tokens, cut")
    }
    if json.isOn { return try Console.printJSON(answers) }
    for answer in answers { try Console.print(answer.description) }
  }
}

/// What one text is.
private struct TextAnswer: Encodable {
  let text: String
  let pair: String?
  var predictions: [Prediction]?
  var value: Double?
  let isCut: Bool

  /// The text, and a bar for each class, or the value.
  var description: String {
    let title = text + (pair.map { " | \($0)" } ?? "")
    if let value { return "\(title)\n  \(decimal(value, 3))" }
    return title + (predictions ?? []).map { bar($0.probability, $0.label) }.joined()
  }
}
