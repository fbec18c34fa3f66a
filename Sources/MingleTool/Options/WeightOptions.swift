import ArgumentParser
import Mingle

/// How weights whose file does not tell everything are to be read.
struct WeightOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The model, where the file does not tell it; see 'mingle models'.", valueName: "name"))
  var model: String?

  @OptionGroup var settings: SettingOptions
  @OptionGroup var resizing: ResizingOptions

  func loadOptions() throws -> LoadOptions {
    LoadOptions(model: model, settings: try settings.fields(), resizeTokens: resizing.resizeTokens)
  }
}

/// What to do with weights of another image size.
struct ResizingOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Fit weights of another image size: interpolate, or block-diagonal (Mixer at an integer "
        + "multiple of its size).", valueName: "how"))
  var resizeTokens: TokenResizing?
}

extension TokenResizing: ExpressibleByArgument {}

/// The switch that every command with a result for programs has.
struct JSONOption: ParsableArguments {
  @Flag(name: .customLong("json"), help: "Print one JSON document and nothing else.")
  var isOn = false
}
