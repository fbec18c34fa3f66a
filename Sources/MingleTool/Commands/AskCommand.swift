import ArgumentParser
import Foundation
import Mingle

/// `mingle ask RUN|WEIGHTS --context FILE QUESTION...`
struct AskCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ask",
    abstract: "Find the answers to questions in a text.",
    discussion: """
      The model is one of 'mingle train --task questions'. An answer is a part of the text; a text of \
      any length is read in windows. Prints the best answer, or that there is none, where the model \
      learned that questions may have none.

      Example: mingle ask runs/squad --context report.txt "Who wrote it?"
      """)

  @Argument(help: "A run's folder (its best weights are used) or a file of weights.")
  var weights: String

  @Argument(help: "What is to be found.")
  var questions: [String]

  @Option(help: ArgumentHelp("The text, in a file; - for standard input.", valueName: "file"))
  var context: String

  @Option(help: ArgumentHelp("How many answers to tell of each question.", valueName: "count"))
  var topK = 1

  @Option(help: ArgumentHelp("Tokens from one window to the next.", valueName: "count"))
  var stride: Int?

  @OptionGroup var model: LanguageModelOptions
  @OptionGroup var json: JSONOption

  func validate() throws {
    guard topK > 0 else { throw ValidationError("--top-k must be at least 1, not \(topK)") }
  }

  func run() throws {
    let text = try readText(at: context)
    let answerer = try QuestionAnswerer(model.load(weights))
    var windows = SQuADWindowOptions()
    windows.stride = stride
    let answers = try questions.map { question in
      FoundAnswer(question, try answerer.answer(question, in: text, top: topK, windows: windows))
    }
    if json.isOn { return try Console.printJSON(answers) }
    for answer in answers { try Console.print(answer.description) }
  }
}

/// The answers to a question.
private struct FoundAnswer: Encodable {
  struct Candidate: Encodable {
    let text: String
    /// Bytes of the text, from 0.
    let start: Int
    let end: Int
    let probability: Double
  }

  let question: String
  /// Empty where the text does not tell.
  let answer: String
  let candidates: [Candidate]

  init(_ question: String, _ prediction: SQuADPrediction) {
    self.question = question
    answer = prediction.text
    candidates = prediction.answers.map {
      Candidate(
        text: $0.text, start: $0.range.lowerBound, end: $0.range.upperBound,
        probability: $0.probability)
    }
  }

  /// The question, and a bar for each answer.
  var description: String {
    let none = answer.isEmpty ? "\n  no answer in the text" : ""
    return question + none + candidates.map { bar($0.probability, $0.text) }.joined()
  }
}

/// The text of a file, or of standard input.
///
/// - Throws: `MingleError` if it cannot be read, or is no UTF-8.
func readText(at path: String) throws -> String {
  let data =
    path == "-"
    ? (try? FileHandle.standardInput.readToEnd() ?? Data())
    : FileManager.default.contents(atPath: path)
  guard let data else {
    throw MingleError(
      .missingInput, "the text cannot be read", in: path, next: "check the path's spelling")
  }
  guard let text = String(data: data, encoding: .utf8) else {
    throw MingleError(.badData, "the text is no UTF-8", in: path, next: "convert it with iconv")
  }
  return text
}
