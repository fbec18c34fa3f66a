import ArgumentParser
import Mingle

/// What the commands that use a language model have in common.
struct LanguageModelOptions: ParsableArguments {
  @OptionGroup var tokenizer: TokenizerOption

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
      weights, tokenizer: tokenizer.file, LoadOptions(model: model), precision: precision.value,
      device: device)
  }
}
