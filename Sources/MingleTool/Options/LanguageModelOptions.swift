import ArgumentParser
import Mingle

/// What the commands that use a language model have in common.
struct LanguageModelOptions: ParsableArguments {
  @Option(
    help:
      "The tokenizer's file, a SentencePiece .model or a vocab.txt; else the one beside the weights."
  )
  var tokenizer: String?

  @Option(
    help: ArgumentHelp(
      "The model, where the file does not tell it; see 'mingle models'.", valueName: "name"))
  var model: String?

  @OptionGroup var precision: PrecisionOption
  @OptionGroup var device: DeviceOptions

  /// Reads a run's folder or a file of weights.
  func load(_ weights: String) throws -> LoadedLanguageModel {
    let device = try device.start()
    return try LoadedLanguageModel(
      weights, tokenizer: tokenizer, LoadOptions(model: model), precision: precision.value,
      device: device)
  }
}
