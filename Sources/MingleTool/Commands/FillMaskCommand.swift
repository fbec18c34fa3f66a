import ArgumentParser
import Mingle

/// `mingle fill-mask RUN|WEIGHTS TEXT...`
struct FillMaskCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fill-mask",
    abstract: "Find the words behind the masks of a text.",
    discussion: """
      Prints the likeliest tokens for each <mask>. The tokenizer is the one beside the weights, as a \
      run of 'mingle pretrain' leaves it, unless another is named.

      Example: mingle fill-mask runs/gmlp "The capital of France is <mask>."
      """)

  @Argument(help: "A run's folder (its best weights are used) or a file of weights.")
  var weights: String

  @Argument(help: "Texts with <mask> in the place of each word to be found.")
  var texts: [String]

  @Option(help: ArgumentHelp("How many tokens to tell for each mask.", valueName: "count"))
  var topK = 5

  @OptionGroup var model: LanguageModelOptions
  @OptionGroup var json: JSONOption

  func validate() throws {
    guard topK > 0 else { throw ValidationError("--top-k must be at least 1, not \(topK)") }
  }

  func run() throws {
    let filler = try MaskFiller(model.load(weights))
    let answers = try texts.map { text in
      FilledText(text: text, masks: try filler.fill(text, top: topK))
    }
    if json.isOn { return try Console.printJSON(answers) }
    for answer in answers { try Console.print(answer.description) }
  }
}

/// What may stand behind the masks of a text.
private struct FilledText: Encodable {
  let text: String
  let masks: [[MaskFiller.Candidate]]

  /// The text, and for each mask a bar for each token.
  var description: String {
    let lists = masks.enumerated().map { index, candidates in
      (masks.count > 1 ? "\n  mask \(index + 1)" : "")
        + candidates.map { bar($0.probability, $0.token.isEmpty ? $0.piece : $0.token) }.joined()
    }
    return text + lists.joined()
  }
}
