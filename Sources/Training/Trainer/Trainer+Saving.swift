import Foundation
import Layers
import Models
import Torch

// What a run leaves on the disk, and how it comes back.

extension Trainer {
  func withEvaluatedWeights<Result>(_ body: () throws -> Result) rethrows -> Result {
    try average?.withAveragedWeights(body) ?? body()
  }

  func save(_ log: RunLog?, _ metrics: RunLog?, isBest: Bool) throws {
    guard let folder, let log else { return }
    try log.flush()
    try metrics?.flush()
    state.logBytes = log.length
    if let metrics { state.metricsBytes = metrics.length }
    state.branches = branches?.chosen

    var tensors = Dictionary(uniqueKeysWithValues: optimizer.state.map { ($0.name, $0.tensor) })
    tensors["generator"] = generator.state
    if let average {
      for (name, tensor) in average.state { tensors[name] = tensor }
      for (name, tensor) in model.state { tensors["weight.\(name)"] = tensor }
    }
    var task = task
    task.provenance["epoch"] = "\(state.epoch)"
    task.provenance["step"] = "\(state.step)"
    let headline = state.last?.validation.headline
    if let headline { task.provenance[headline.name] = "\(headline.value)" }
    try withEvaluatedWeights {
      try folder.save(tensors: tensors, state: state, isBest: isBest, task.write)
    }
  }

  func writeReport() throws {
    guard let folder, let best = state.best else { return }
    let report = RunReport(
      model: task.modelName, data: recipe.data, parameterCount: model.parameterCount,
      trainingSamples: state.data.trainingSamples, validationSamples: state.data.validationSamples,
      words: task.words, plannedEpochs: epochCount, epochs: folder.metrics(), bestEpoch: best.epoch,
      best: best.validation, recipe: folder.text("config.yaml"))
    try folder.writeReport(report)
  }

  /// Puts everything where the run was saved.
  ///
  /// - Throws: `MingleError` if the files do not belong to this recipe and these data.
  func restore(_ tensors: [String: Tensor], _ savedState: RunState) throws {
    try requireSameRun(savedState)
    func part(_ belongs: (String) -> Bool) -> [String: Tensor] {
      tensors.filter { belongs($0.key) }
    }
    let isAverage: (String) -> Bool = { $0.hasPrefix("average.") || $0 == "average_updates" }
    if let average {
      try average.restore(part(isAverage))
      let weights = part { $0.hasPrefix("weight.") }.map { (String($0.dropFirst(7)), $1) }
      try model.load(Dictionary(uniqueKeysWithValues: weights), from: folder?.path)
    }
    try optimizer.restore(
      part { !isAverage($0) && !$0.hasPrefix("weight.") && $0 != "generator" })
    guard let random = tensors["generator"] else {
      throw MingleError(.badData, "the run's state lacks the random generator", in: folder?.path)
    }
    try generator.restore(random)
    state = savedState
  }

  /// Data, recipe and counters must be those that the run was saved with.
  private func requireSameRun(_ saved: RunState) throws {
    func refuse(_ what: String, expected: String, got: String, next: String) -> MingleError {
      MingleError(.badData, what, in: folder?.path, expected: expected, got: got, next: next)
    }
    var savedData = saved.data
    if savedData.contents == nil { savedData.contents = state.data.contents }
    guard savedData == state.data else {
      throw refuse(
        "the data are not those that the run began with", expected: "\(saved.data)",
        got: "\(state.data)", next: "put the data back, or start another run from these weights")
    }
    guard try Recipe(yaml: saved.recipe).decidesTheSame(as: recipe) else {
      throw refuse(
        "config.yaml is not the recipe that the run was saved with",
        expected: "the recipe in last/state.json", got: "other values",
        next: "undo the change, or start another run from these weights")
    }
    let steps = stepsPerEpoch * epochCount
    guard (0...epochCount).contains(saved.epoch), (0...steps).contains(saved.step),
      (0...task.batchesPerEpoch).contains(saved.nextBatch), saved.targetCount >= 0,
      saved.unitCount >= 0
    else {
      throw refuse(
        "the run's state cannot be", expected: "at most \(epochCount) epochs and \(steps) steps",
        got: "epoch \(saved.epoch), batch \(saved.nextBatch), step \(saved.step)",
        next: "last/state.json is damaged; start from the weights in best/")
    }
  }
}

extension Recipe {
  /// Whether runs by both recipes take the same steps; where the data lie may differ.
  func decidesTheSame(as other: Recipe) -> Bool {
    var copy = self
    copy.data = other.data
    copy.weights = other.weights
    copy.device = other.device
    copy.workers = other.workers
    copy.saveEvery = other.saveEvery
    if let places = other.text {
      copy.text?.tokenizer = places.tokenizer
      copy.text?.validation = places.validation
      copy.text?.cache = places.cache
    }
    return copy == other
  }
}
