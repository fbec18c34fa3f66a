import ArgumentParser
import Foundation
import Mingle

/// `mingle visualize RUN|WEIGHTS --output PAGE`
struct VisualizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "visualize",
    abstract: "Show how a network mixes tokens, as pictures.",
    discussion: """
      Writes one page of HTML that needs nothing else. For gMLP and aMLP that read text: the filter of \
      each block, a weight for each distance between tokens (with spatial_weights=full, a matrix). For \
      gMLP and ResMLP that see pictures: filters of single patches over the grid of patches. For \
      MLP-Mixer: the hidden units of its MLP over tokens. Other networks mix tokens in another way.

      Example: mingle visualize runs/gmlp --output filters.html
      """)

  @Argument(help: "A run's folder (its best weights are used) or a file of weights.")
  var weights: String

  @OptionGroup var reading: WeightOptions

  @Option(help: "The page to write: a file that ends in .html.")
  var output: String

  @Flag(help: "Replace the output if it is there.")
  var force = false

  func run() throws {
    guard [".html", ".htm"].contains(where: output.lowercased().hasSuffix) else {
      throw MingleError(
        .usage, "the output's name tells another format", in: output, expected: "*.html")
    }
    guard force || !FileManager.default.fileExists(atPath: output) else {
      throw MingleError(
        .usage, "the file is already there", in: output, next: "pass --force to replace it")
    }
    let (model, name) = try loaded()
    let filters = try SpatialFilters(of: model)
    try FilterReport(filters, model: name, source: weights).write(to: output)
    Console.note("\(output): \(name), \(grouped(filters.layers.count)) blocks")
  }

  private func loaded() throws -> (model: any Model, name: String) {
    let entry = try ModelRegistry.entry(ofWeightsAt: weights, model: reading.model)
    let options = try reading.loadOptions()
    switch entry.input {
    case .pictures: return (try ModelCheckpoint.load(weights, options).model, entry.name)
    case .text: return (try LanguageCheckpoint.load(weights, options).model, entry.name)
    }
  }
}
