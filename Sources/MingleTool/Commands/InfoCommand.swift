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
      image or for one text of full length, its parameters and its multiply-adds (MACs). A masked \
      language model's head is counted at 15 % of the tokens, which is what training computes.

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

  /// The configuration's fields as `--set` takes them; those without a value are left out.
  private func settingsLine(_ configuration: AnyEncodable) throws -> String {
    let fields = try JSONDecoder().decode(
      [String: FieldText?].self, from: JSONEncoder().encode(configuration))
    return fields.sorted { $0.key < $1.key }
      .compactMap { key, setting in setting.map { "\(key)=\($0.text)" } }.joined(separator: " ")
  }
}

/// A field's value as text: a list as `2,2,6,2`.
private struct FieldText: Decodable {
  let text: String

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let values = try? container.decode([FieldText].self) {
      text = values.map(\.text).joined(separator: ",")
    } else if let value = try? container.decode(Bool.self) {
      text = "\(value)"
    } else if let value = try? container.decode(Int.self) {
      text = "\(value)"
    } else if let value = try? container.decode(Double.self) {
      text = "\(value)"
    } else {
      text = try container.decode(String.self)
    }
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

  init(_ entry: ModelEntry, _ model: any Model) {
    name = entry.name
    family = entry.family
    paper = entry.paper
    configuration = AnyEncodable(value: model.configuration)
    layers = model.summary()
    parameters = model.parameterCount
    multiplyAdds = layers.reduce(0) { $0 + $1.multiplyAdds }
  }
}
