import Models
import Torch

extension Recipe {
  /// What a run by this recipe learns.
  ///
  /// - Parameter weights: the file that a resumed run had saved; nil for the first weights.
  /// - Throws: `MingleError` for a recipe, data or weights that do not fit.
  func learningTask(
    rehearsal: Trainer.Rehearsal?, from weights: String?
  ) throws -> any LearningTask {
    try requireFittingTask()
    if task == .images {
      let start = try weights.map { try ModelCheckpoint.load($0) }
      return try ImageTask(self, rehearsal: rehearsal, from: start)
    }
    let start = try weights.map { try SavedLanguageModel($0) }
    return switch task {
    case .text: try TextTask(self, rehearsal: rehearsal, from: start)
    case .questions: try QuestionTask(self, rehearsal: rehearsal, from: start)
    default: try MaskedTask(self, rehearsal: rehearsal, from: start)
    }
  }

  /// The model before its first step, for data of the given classes.
  ///
  /// - Throws: `MingleError` for a model, a setting or weights that do not fit.
  func initialCheckpoint(classNames: [String]) throws -> ModelCheckpoint {
    var settings = settings
    if let classes = settings["classes"], Int(classes) != classNames.count {
      throw MingleError(
        .usage, "the recipe's classes are not the data's", in: data, expected: classes,
        got: "\(classNames.count)", next: "leave 'classes' out of the settings")
    }
    settings["classes"] = "\(classNames.count)"
    let generator = Generator(seed: seed)
    var checkpoint: ModelCheckpoint
    if let weights {
      checkpoint = try .load(
        weights,
        LoadOptions(
          model: model, settings: settings, head: .fresh(generator), resizeTokens: resizeTokens))
    } else {
      checkpoint = try .fresh(model, settings: settings, generator: generator)
    }
    if let fraction = cropFraction ?? (weights == nil ? 1 : nil) {
      checkpoint.preprocessing.cropFraction = fraction
    }
    checkpoint.labels = classNames
    checkpoint.scores = loss.scores
    checkpoint.provenance = try initialProvenance()
    return checkpoint
  }

  /// What made the weights, before the first step.
  func initialProvenance() throws -> [String: String] {
    [
      "trained_by": "mingle \(mingleVersion)", "recipe": try yaml(), "data": data,
      "seed": "\(seed)", "initial_weights": weights ?? "none",
    ]
  }
}

extension Duration {
  /// The whole duration in seconds.
  var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
