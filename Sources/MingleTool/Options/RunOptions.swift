import ArgumentParser
import Foundation
import Mingle

/// What the commands that train have in common: a recipe, flags that change it, and the run.
struct RunOptions: ParsableArguments {
  @Argument(help: "A recipe, or the config.yaml of another run.")
  var recipe: String?

  @Option(help: ArgumentHelp("A model of 'mingle models'.", valueName: "name"))
  var model: String?

  @Option(help: "The data; the command's help tells their forms.")
  var data: String?

  @Option(help: "The run's folder; it must not hold anything yet.")
  var output: String?

  @Flag(help: "Go on with the run in --output, by its own recipe: no other setting may be given.")
  var resume = false

  @Option(help: "Weights to start from.")
  var weights: String?

  @Option(help: ArgumentHelp("Passes over the data.", valueName: "count"))
  var epochs: Int?

  @Option(help: ArgumentHelp("Samples in a batch.", valueName: "count"))
  var batchSize: Int?

  @Option(help: ArgumentHelp("Batches whose gradients make one step.", valueName: "count"))
  var accumulation: Int?

  @Option(help: ArgumentHelp("The learning rate after warm-up.", valueName: "rate"))
  var learningRate: Double?

  @Option(help: ArgumentHelp("The pull of weights towards 0.", valueName: "rate"))
  var weightDecay: Double?

  @Option(help: "sgd, adamw or lamb, with its defaults.")
  var optimizer: OptimizerConfiguration.Name?

  @Option(help: "constant, linear, cosine or step.")
  var schedule: Schedule.Name?

  @Option(
    help: ArgumentHelp("Steps of warm-up: 500, or a share such as 0.05.", valueName: "steps"),
    transform: StepCount.init(parsing:))
  var warmup: StepCount?

  @Option(help: ArgumentHelp("The largest norm of the gradient; 0: no limit.", valueName: "norm"))
  var clip: Double?

  @Option(
    help: ArgumentHelp(
      "Leave the parameters at and below this path as they are. Repeatable.", valueName: "path"))
  var freeze: [String] = []

  @Option(
    help: ArgumentHelp(
      "The share kept for validation, where the data have no such part.",
      valueName: "share"))
  var holdOut: Double?

  @Option(help: ArgumentHelp("Average the weights with this decay.", valueName: "decay"))
  var emaDecay: Double?

  @Option(help: "Precision of matrix products: fp32 or bf16.")
  var precision: Precision?

  @Flag(help: "Compute each block again in the backward pass: less memory, more time.")
  var activationCheckpointing = false

  @Option(help: ArgumentHelp("Decides every random number.", valueName: "number"))
  var seed: UInt64?

  @Option(help: ArgumentHelp("Threads that prepare batches.", valueName: "count"))
  var workers: Int?

  @Option(help: ArgumentHelp("Save after each so many steps as well.", valueName: "steps"))
  var saveEvery: Int?

  @Flag(help: "Two steps and two batches of evaluation, to see that all fits; writes nothing.")
  var fastDevRun = false

  @Option(
    help: ArgumentHelp(
      "Learn only so many batches, without augmentation, and evaluate on them; writes nothing.",
      valueName: "count"))
  var overfitBatches: Int?

  @Option(help: "Where to compute: cpu, cuda, cuda:N or mps.")
  var device: String?

  @Option(help: ArgumentHelp("CPU threads; by default one for each core.", valueName: "count"))
  var threads: Int?

  @OptionGroup var json: JSONOption

  /// Trains, and tells the result.
  ///
  /// - Parameters:
  ///   - task: what the command trains for; nil: what the recipe says.
  ///   - others: what the command's own flags change of the recipe.
  func train(for task: TrainingTask? = nil, _ others: [RecipeChange]) throws {
    let changes = changes + others
    try DeviceOptions.use(threads: threads)
    let trainer = try resume ? resumedTrainer(changes) : newTrainer(for: task, changes)
    try DeviceOptions.use(threads: threads)  // a resumed run has brought the number it had
    Interruption.watch()
    let progress = TrainingProgress()
    let result = try trainer.run(progress.show)
    if json.isOn {
      try Console.printJSON(RunSummary(result, folder: folder))
    } else if let best = result.best {
      try Console.print(
        "best \(headline(of: best.validation)) in epoch \(best.epoch), "
          + "\(duration(result.seconds)) of training"
          + (result.skipped > 0 ? ", \(result.skipped) samples skipped" : "")
          + (folder.map { "; see \($0)" } ?? ""))
    }
    if result.wasStopped {
      throw MingleError(
        .interrupted, "the run was stopped", in: folder,
        next: folder.map { "go on with --resume --output \($0)" })
    }
  }

  private var isRehearsal: Bool { fastDevRun || overfitBatches != nil }

  /// Where the run is kept; nil for a rehearsal, which is not.
  private var folder: String? { isRehearsal ? nil : output }

  private func resumedTrainer(_ changes: [RecipeChange]) throws -> Trainer {
    guard let output else {
      throw MingleError(.usage, "--resume needs the run's folder", next: "pass --output DIR")
    }
    let rehearsals: KeyValuePairs = [
      "--fast-dev-run": fastDevRun, "--overfit-batches": overfitBatches != nil,
    ]
    let given =
      (recipe == nil ? [] : ["a recipe"]) + changes.filter(\.isGiven).map(\.flag)
      + rehearsals.filter(\.value).map(\.key)
    if let setting = given.first {
      throw MingleError(
        .usage, "a run is resumed by its own recipe", got: setting,
        next: "leave out everything but --resume, --output, --threads and --json")
    }
    return try Trainer(resuming: output)
  }

  private func newTrainer(for task: TrainingTask?, _ changes: [RecipeChange]) throws -> Trainer {
    if isRehearsal {
      guard !fastDevRun || overfitBatches == nil else {
        throw MingleError(
          .usage, "--fast-dev-run and --overfit-batches exclude each other",
          next: "leave out one of them")
      }
      if let overfitBatches, overfitBatches < 1 {
        throw MingleError(.usage, "--overfit-batches must be at least 1", got: "\(overfitBatches)")
      }
      return try Trainer(
        effectiveRecipe(for: task, changes), in: nil,
        rehearsal: fastDevRun ? .fastRun : .overfit(batches: overfitBatches ?? 1))
    }
    guard let output else {
      throw MingleError(.usage, "the run needs a folder", next: "pass --output runs/NAME")
    }
    return try Trainer(effectiveRecipe(for: task, changes), in: output)
  }

  /// The recipe with the flags put in; without a model it is that of the weights to start from.
  private func effectiveRecipe(
    for task: TrainingTask?, _ changes: [RecipeChange]
  ) throws -> Recipe {
    var result = try recipe.map(Recipe.init(contentsOf:)) ?? Recipe(model: "", data: "")
    if let task { result.task = task }
    for change in changes { try change.apply(&result) }
    if result.model.isEmpty, let weights = result.weights {
      result.model = try ModelRegistry.entry(ofWeightsAt: weights).name
    }
    guard !result.model.isEmpty else {
      throw MingleError(.usage, "no model is named", next: "pass --model, one of 'mingle models'")
    }
    guard !result.data.isEmpty else {
      throw MingleError(.usage, "no data are named", next: "pass --data PATH")
    }
    return result.withWholePaths()
  }

  /// What each flag changes of the recipe; a name that sets several fields comes before the flags
  /// for one of them.
  private var changes: [RecipeChange] {
    [
      RecipeChange("--model", model) { $0.model = $1 },
      RecipeChange("--data", data) { $0.data = $1 },
      RecipeChange("--weights", weights) { $0.weights = $1 },
      RecipeChange("--epochs", epochs) { $0.epochs = $1 },
      RecipeChange("--batch-size", batchSize) { $0.batchSize = $1 },
      RecipeChange("--accumulation", accumulation) { $0.accumulation = $1 },
      RecipeChange("--schedule", schedule) { $0.schedule.name = $1 },
      RecipeChange("--learning-rate", learningRate) { $0.schedule.learningRate = $1 },
      RecipeChange("--warmup", warmup) { $0.schedule.warmup = $1 },
      RecipeChange("--optimizer", optimizer) { recipe, name in
        if name != recipe.optimizer.name { recipe.optimizer = OptimizerConfiguration(name) }
      },
      RecipeChange("--weight-decay", weightDecay) { $0.optimizer.weightDecay = $1 },
      RecipeChange("--clip", clip) { $0.clip = $1 == 0 ? nil : $1 },
      RecipeChange("--freeze", freeze.isEmpty ? nil : freeze) { $0.freeze = $1 },
      RecipeChange("--hold-out", holdOut) { $0.holdOut = $1 },
      RecipeChange("--ema-decay", emaDecay) { $0.emaDecay = $1 },
      RecipeChange("--precision", precision) { $0.precision = $1 },
      RecipeChange("--activation-checkpointing", activationCheckpointing ? true : nil) {
        $0.activationCheckpointing = $1
      },
      RecipeChange("--seed", seed) { $0.seed = $1 },
      RecipeChange("--workers", workers) { $0.workers = $1 },
      RecipeChange("--save-every", saveEvery) { $0.saveEvery = $1 },
      RecipeChange("--device", device) { $0.device = $1 },
    ]
  }
}

/// A flag that changes a recipe.
struct RecipeChange {
  let flag: String
  let isGiven: Bool
  /// Does nothing unless the flag is given.
  let apply: (inout Recipe) throws -> Void

  init<Value>(
    _ flag: String, _ value: Value?, _ apply: @escaping (inout Recipe, Value) throws -> Void
  ) {
    self.flag = flag
    isGiven = value != nil
    self.apply = { recipe in if let value { try apply(&recipe, value) } }
  }

  /// A change of the part about text.
  static func text<Value>(
    _ flag: String, _ value: Value?, _ apply: @escaping (inout TextRecipe, Value) -> Void
  ) -> RecipeChange {
    RecipeChange(flag, value) { recipe, value in
      var text = recipe.text ?? TextRecipe()
      apply(&text, value)
      recipe.text = text
    }
  }
}

extension OptimizerConfiguration.Name: ExpressibleByArgument {}
extension Schedule.Name: ExpressibleByArgument {}
extension Loss: ExpressibleByArgument {}

/// The end of a run as JSON.
private struct RunSummary: Encodable {
  let folder: String?
  let wasStopped: Bool
  let seconds: Double
  let skipped: Int
  let best: EpochReport?
  let last: EpochReport?

  init(_ result: TrainingResult, folder: String?) {
    self.folder = folder
    wasStopped = result.wasStopped
    seconds = result.seconds
    skipped = result.skipped
    best = result.best
    last = result.last
  }
}
