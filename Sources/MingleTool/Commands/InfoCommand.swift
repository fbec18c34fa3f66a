import ArgumentParser
import Foundation
import Mingle

/// `mingle info MODEL`
struct InfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info",
    abstract: "Show a network's settings and layers.",
    discussion: """
      One row for each layer that computes: where it sits (its checkpoint key), its output for one \
      image, its parameters and its multiply-adds (MACs).

      Example: mingle info mixer_s16_224 --image-size 96 --classes 10 --set depth=4
      """)

  @Argument(help: "A model of 'mingle models'.")
  var model: String

  @OptionGroup var settings: SettingOptions
  @OptionGroup var json: JSONOption

  func run() throws {
    let entry = try ModelRegistry.entry(model)
    let info = try ModelInfo(entry, entry.model(settings: settings.fields(), generator: nil))
    if json.isOn { return try Console.printJSON(info) }

    var table = Table([
      ("layer", .left), ("type", .left), ("output", .left), ("parameters", .right),
      ("MACs", .right),
    ])
    for layer in info.layers {
      table.add([
        layer.name, layer.type, dimensions(layer.outputShape), grouped(layer.parameters),
        grouped(layer.multiplyAdds),
      ])
    }
    table.add(["total", "", "", grouped(info.parameters), grouped(info.multiplyAdds)])
    try Console.print(
      """
      \(info.name): \(info.family), \(info.paper)
      settings: \(try settingsLine(info.configuration))

      \(table.text)
      """)
  }

  /// The configuration's fields as `--set` takes them.
  private func settingsLine(_ configuration: AnyEncodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let text = String(decoding: try encoder.encode(configuration), as: UTF8.self)
    return text.dropFirst().dropLast().split(separator: ",\"").map { field in
      field.replacing("\"", with: "").replacing(":", with: "=", maxReplacements: 1)
    }.joined(separator: " ")
  }
}

/// All that `info` tells.
private struct ModelInfo: Encodable {
  let name: String
  let family: String
  let paper: String
  let configuration: AnyEncodable
  let parameters: Int
  let multiplyAdds: Int
  let layers: [LayerSummary]

  init(_ entry: ModelEntry, _ model: any VisionModel) {
    name = entry.name
    family = entry.family
    paper = entry.paper
    configuration = AnyEncodable(value: model.configuration)
    layers = model.summary()
    parameters = model.parameterCount
    multiplyAdds = layers.reduce(0) { $0 + $1.multiplyAdds }
  }
}
