import ArgumentParser
import Foundation
import Mingle

/// `mingle convert IN OUT`
struct ConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Turn published weights into a file that tells all about itself.",
    discussion: """
      Reads Mingle's, timm's, Google's (Mixer .npz) and Meta's (ResMLP) layouts and writes \
      safetensors with timm's names; model, settings, preprocessing, labels and origin travel in \
      its metadata. Every tensor must fit the model: missing, unused and mismatched ones are reported.

      PyTorch's files (.pth, .pt, .bin) are read, not run: one that asks for more than \
      tensors, containers and numbers is refused.

      Example: mingle convert Mixer-B_16.npz mixer.safetensors --model mixer_b16_224
      """)

  @Argument(help: "Weights: safetensors, npz, .pth or a run's folder.")
  var input: String

  @Argument(help: "The safetensors file to write.")
  var output: String

  @OptionGroup var weights: WeightOptions

  @Flag(help: "Replace the output if it is there.")
  var force = false

  func run() throws {
    guard output.lowercased().hasSuffix(".safetensors") else {
      throw MingleError(
        .usage, "the output's name tells another format", in: output, expected: "*.safetensors")
    }
    guard force || !FileManager.default.fileExists(atPath: output) else {
      throw MingleError(
        .usage, "the file is already there", in: output, next: "pass --force to replace it")
    }
    var checkpoint = try ModelCheckpoint.load(input, weights.loadOptions())
    checkpoint.provenance["converted_from"] = input
    checkpoint.provenance["converted_by"] = "mingle \(mingleVersion)"
    try checkpoint.write(to: output)
    Console.note(
      "\(output): \(checkpoint.name), \(grouped(checkpoint.model.parameterCount)) parameters, "
        + "\(checkpoint.model.state.count) tensors")
  }
}
