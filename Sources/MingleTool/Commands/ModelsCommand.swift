import ArgumentParser
import Mingle

/// `mingle models [FILTER]`
struct ModelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "models",
    abstract: "List the networks that have a name.",
    discussion: """
      MACs are the multiply-adds of matrix products and convolutions for one image; or for one text \
      of full length, with a masked language model's head at 15 % of the tokens.

      Example: mingle models gmlp --reads text
      """)

  @Argument(help: "Only models whose name, family, task or paper contains this text.")
  var filter: String?

  @Option(name: .customLong("reads"), help: "Only models that read pictures, or text.")
  var reading: ModelInput?

  @OptionGroup var json: JSONOption

  func run() throws {
    let text = filter?.lowercased() ?? ""
    let entries = ModelRegistry.entries.filter { reading == nil || $0.input == reading }
    let rows = entries.map(ModelRow.init).filter { row in
      text.isEmpty
        || [row.name, row.family, row.task, row.paper].contains { $0.lowercased().contains(text) }
    }
    guard !rows.isEmpty else {
      throw MingleError(
        .usage, "no model contains '\(text)'", next: "'mingle models' lists all of them")
    }
    if json.isOn { return try Console.printJSON(rows) }

    var table = Table([
      ("name", .left), ("family", .left), ("task", .left), ("parameters (M)", .right),
      ("MACs (G)", .right), ("input", .right), ("paper", .left),
    ])
    for row in rows {
      table.add([
        row.name, row.family, row.task, millions(row.parameters), billions(row.multiplyAdds),
        row.input, row.paper,
      ])
    }
    try Console.print(table.text)
  }
}

extension ModelInput: ExpressibleByArgument {}

/// A model as the list shows it.
private struct ModelRow: Encodable {
  let name: String
  let family: String
  let task: String
  let parameters: Int
  let multiplyAdds: Int
  let input: String
  let classes: Int?
  let paper: String

  init(_ entry: ModelEntry) {
    name = entry.name
    family = entry.family
    parameters = entry.parameterCount
    multiplyAdds = entry.multiplyAdds
    task = entry.task
    switch entry.configuration {
    case let configuration as any VisionConfiguration:
      input = "\(configuration.imageSize)"
      classes = configuration.classes
    case let configuration as any LanguageConfiguration:
      input = "\(configuration.sequenceLength) tokens"
      classes = configuration.task == .classes ? configuration.classes : nil
    default:
      (input, classes) = ("", nil)
    }
    paper = entry.paper
  }
}
