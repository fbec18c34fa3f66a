import Data
import Models
import Torch

/// Finds the answers to questions in a text.
///
/// ```swift
/// let answerer = try QuestionAnswerer("runs/squad")
/// let prediction = try answerer.answer("Who wrote it?", in: text)
/// print(prediction.text)  // empty: the text does not tell
/// ```
public final class QuestionAnswerer {
  public let model: LoadedLanguageModel
  private let encoder: PairEncoder
  private static let batchSize = 16

  /// - Throws: `MingleError` (`usage`) if the model was trained for something else.
  public init(_ model: LoadedLanguageModel) throws {
    try model.require(.span)
    self.model = model
    encoder = try model.encoder()
  }

  /// Reads a run's folder (its best weights) or a file of weights.
  ///
  /// - Throws: `MingleError` as ``LoadedLanguageModel/init(_:tokenizer:_:precision:device:)`` does.
  public convenience init(_ path: String) throws { try self.init(LoadedLanguageModel(path)) }

  /// The answer to a question, as it stands in the text. A text that is longer than the model reads at
  /// once is read in windows.
  ///
  /// - Parameters:
  ///   - top: how many answers are kept, the best among them.
  ///   - windows: how long texts are read.
  /// - Throws: `MingleError` (`badData`) for an empty question or text, or a question too long, or if
  ///   the network's answer is no number.
  public func answer(
    _ question: String, in context: String, top: Int = 5,
    windows options: SQuADWindowOptions = SQuADWindowOptions()
  ) throws -> SQuADPrediction {
    for (what, text) in [("question", question), ("text", context)]
    where text.allSatisfy(\.isWhitespace) {
      throw MingleError(.badData, "the \(what) is empty", expected: "words")
    }
    let windows = try SQuADWindows(
      SQuAD(question: question, context: context), encoder: encoder, options: options,
      isForTraining: false)
    guard windows.cutQuestions == 0 else {
      throw MingleError(
        .badData, "the question is too long", in: "\(question.prefix(40))...",
        expected: "at most \(min(options.questionLimit, encoder.length / 2)) tokens",
        got: "\(model.tokenizer.encode(question).count)", next: "ask in fewer words")
    }
    var answers = model.checkpoint.answerOptions
    answers.count = max(1, top)
    var predictor = SQuADPredictor(windows, options: answers)
    let padding = type(of: model.checkpoint.model).textPadding
    let places = Array(windows.windows.indices)
    for start in stride(from: 0, to: places.count, by: Self.batchSize) {
      let indices = Array(places[start..<min(start + Self.batchSize, places.count)])
      let batch = encoder.batch(indices.map { windows.windows[$0].text }, padding: padding)
      let logits = model.logits(batch)
      try model.requireFinite([logits.sum().item])
      predictor.add(logits, indices: indices)
    }
    return predictor.predictions()[0]
  }
}
