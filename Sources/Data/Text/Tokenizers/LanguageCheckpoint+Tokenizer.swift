import Models
import Torch

extension LanguageCheckpoint {
  /// - Throws: `MingleError` (`usage`) unless `tokenizer` is the one that the weights learned.
  package func require(_ tokenizer: any Tokenizer) throws {
    let vocabulary = model.configuration.vocabulary
    guard tokenizer.vocabularySize == vocabulary else {
      throw MingleError(
        .usage, "the tokenizer does not fit the model", in: name,
        expected: "\(vocabulary) tokens", got: "\(tokenizer.vocabularySize)",
        next: "name the tokenizer's file that lies beside the weights with --tokenizer")
    }
    if let known = self.tokenizer, known != tokenizer.fingerprint {
      throw MingleError(
        .usage, "the tokenizer is not the one that the weights learned", in: name,
        next: "name the tokenizer's file that lies beside the weights with --tokenizer")
    }
  }

  /// The most tokens of a text.
  ///
  /// - Throws: `MingleError` (`usage`) where the reading asks for more than the model takes.
  package func requiredTextLength() throws -> Int {
    let longest = model.configuration.sequenceLength
    guard let length = reading.length, length > longest else { return textLength }
    throw MingleError(
      .usage, "texts longer than the model reads", in: name, expected: "at most \(longest) tokens",
      got: "\(length)", next: "choose a smaller length, or a model with a larger sequence_length")
  }

  /// How answers are chosen.
  package var answerOptions: SQuADAnswerOptions {
    var options = SQuADAnswerOptions()
    options.allowsNone = reading.allowsNone
    return options
  }
}
