import ArgumentParser
import Mingle

/// `mingle compare RECIPE`
struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Train several networks on the same data with the same budget.",
    discussion: """
      The recipe is one of 'mingle train' or 'mingle pretrain' with a list of runs, each with a name \
      and the keys that differ. The folder gets a run for each, table.md, table.json and report.html \
      with all curves over each other. A comparison that was stopped goes on with the same command.

      Example: mingle compare --task mlm Recipes/wikitext-2-mlm.yaml --data wikitext-2 \
      --tokenizer wiki.model --output runs/mlm
      """)

  @Argument(help: "The comparison: a recipe with a list of 'runs'.")
  var recipe: String

  @Option(help: "What all runs learn, in place of the recipe's task.")
  var task: TrainingTask?

  @Option(help: "The data, in place of the recipe's.")
  var data: String?

  @Option(help: "The tokenizer's file, in place of the recipe's.")
  var tokenizer: String?

  @Option(help: "The folder for the runs, the table and the page.")
  var output: String

  @Option(help: "Where to compute: cpu, cuda, cuda:N or mps.")
  var device: String?

  @Option(help: ArgumentHelp("CPU threads; by default one for each core.", valueName: "count"))
  var threads: Int?

  @OptionGroup var json: JSONOption

  func run() throws {
    try DeviceOptions.use(threads: threads)
    var comparison = try Comparison(contentsOf: recipe)
    for index in comparison.entries.indices {
      try complete(&comparison.entries[index].recipe)
    }
    Interruption.watch()
    let progress = TrainingProgress()
    let names = comparison.entries.map(\.name)
    var current: String?
    let result = try comparison.run(in: output) { name, event in
      if current != name, let index = names.firstIndex(of: name) {
        Console.note("\(name) (\(index + 1) of \(names.count)):")
      }
      current = name
      return progress.show(event)
    }
    if json.isOn { try Console.printJSON(result) } else { try Console.write(result.markdown) }
  }

  /// Puts the flags into a run's recipe.
  private func complete(_ recipe: inout Recipe) throws {
    if let data { recipe.data = data }
    guard !recipe.data.isEmpty else {
      throw MingleError(.usage, "no data are named", next: "pass --data PATH")
    }
    if let tokenizer {
      recipe.text = recipe.text ?? TextRecipe()
      recipe.text?.tokenizer = tokenizer
    }
    if let task { recipe.task = task }
    if let device { recipe.device = device }
    recipe = recipe.withWholePaths()
  }
}
