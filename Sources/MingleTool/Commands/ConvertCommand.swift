import ArgumentParser
import Foundation
import Mingle

/// `mingle convert IN OUT`
struct ConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Turn published weights into a file that tells all about itself.",
    discussion: """
      Reads Mingle's, timm's, Google's (Mixer .npz), Meta's (ResMLP) and Hugging Face's (BERT) \
      layouts, and those of the authors of AS-MLP, Hire-MLP, Vision Permutator and RaftMLP. Writes \
      safetensors with timm's or Hugging Face's names, or the authors' where both lack the model; \
      settings, preprocessing, labels and origin travel in its metadata. Every tensor must fit: \
      missing, unused and mismatched ones are reported.

      PyTorch's files (.pth, .pt, .bin) are read, not run: one that asks for more than \
      tensors, containers and numbers is refused.

      With --layout the tensors go the other way, to the names and shapes of the publisher's own \
      code; the file then holds nothing but tensors.

      Example: mingle convert Mixer-B_16.npz mixer.safetensors --model mixer_b16_224
      """)

  @Argument(help: "Weights: safetensors, npz, .pth or a run's folder.")
  var input: String

  @Argument(help: "The safetensors file to write.")
  var output: String

  @OptionGroup var weights: WeightOptions

  @Option(
    help: ArgumentHelp(
      "Write the layout of google (Mixer) or meta (ResMLP) instead, as safetensors or npz.",
      valueName: "name"))
  var layout: String?

  @Flag(help: "Replace the output if it is there.")
  var force = false

  func run() throws {
    let isArchive = layout != nil && output.lowercased().hasSuffix(".npz")
    guard isArchive || output.lowercased().hasSuffix(".safetensors") else {
      throw MingleError(
        .usage, "the output's name tells another format", in: output,
        expected: layout == nil ? "*.safetensors" : "*.safetensors or *.npz")
    }
    guard force || !FileManager.default.fileExists(atPath: output) else {
      throw MingleError(
        .usage, "the file is already there", in: output, next: "pass --force to replace it")
    }
    let entry = try ModelRegistry.entry(ofWeightsAt: input, model: weights.model)
    let origin = ["converted_from": input, "converted_by": "mingle \(mingleVersion)"]
    let model: any Model
    switch entry.input {
    case .pictures:
      var checkpoint = try ModelCheckpoint.load(input, weights.loadOptions())
      checkpoint.provenance.merge(origin) { $1 }
      if layout == nil { try checkpoint.write(to: output) }
      model = checkpoint.model
    case .text:
      var checkpoint = try LanguageCheckpoint.load(input, weights.loadOptions())
      checkpoint.provenance.merge(origin) { $1 }
      if layout == nil { try checkpoint.write(to: output) }
      model = checkpoint.model
    }
    if let layout {
      let tensors = try exported(model, to: layout)
      if isArchive {
        try NumpyArchive.write(tensors, to: output)
      } else {
        try Safetensors.write(tensors, to: output)
      }
    }
    Console.note(
      "\(output): \(entry.name), \(grouped(model.parameterCount)) parameters, "
        + "\(model.state.count) tensors")
  }
  /// The weights in the family's published layout of that name.
  private func exported(
    _ model: some Model, to name: String
  ) throws -> [String: Tensor] {
    let layouts = type(of: model).foreignLayouts
    guard let layout = layouts.first(where: { $0.name == name }) else {
      let names = layouts.map(\.name).joined(separator: ", ")
      throw MingleError(
        .usage, "the model's family has no layout '\(name)'",
        expected: names.isEmpty ? "no --layout" : names)
    }
    return try layout.exported(
      Dictionary(uniqueKeysWithValues: model.state.map { ($0.name, $0.tensor) }))
  }
}
