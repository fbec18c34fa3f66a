import Data
import Foundation
import Layers
import Models
import Torch

/// Trains a network by a recipe, in a folder of its own.
///
/// ```swift
/// let trainer = try Trainer(recipe, in: "runs/flowers")
/// let result = try trainer.run { event in
///   if case .epoch(let epoch) = event { print(epoch.validation.headline) }
///   return .proceed
/// }
/// ```
///
/// A run that was stopped, or killed at any moment, and is resumed ends with the same weights, to
/// the bit, as one that was not.
public final class Trainer {
  /// Ways to run that are no part of the recipe.
  public enum Rehearsal: Sendable {
    /// Two steps and two batches of evaluation, without a folder: does everything fit together?
    case fastRun
    /// Only the first batches of the training data, without augmentation, evaluated on themselves:
    /// can the model learn them by heart?
    case overfit(batches: Int)
  }

  public let recipe: Recipe
  /// What is trained.
  public var model: any Model { task.model }

  let folder: RunFolder?
  let task: any LearningTask
  let optimizer: any Optimizer
  let average: AveragedWeights?
  let generator: Generator
  var state = RunState()
  private let trained: [(name: String, parameter: Parameter)]
  private let routing: RoutingWatch
  private let device: Device
  private let isFastRun: Bool

  /// Starts a run.
  ///
  /// - Parameter path: the run's folder, which must not hold anything yet; nil keeps nothing.
  /// - Throws: `MingleError` for a recipe, data or weights that do not fit.
  public convenience init(
    _ recipe: Recipe, in path: String?, rehearsal: Rehearsal? = nil
  ) throws {
    // What config.yaml will say: YAML keeps 15 digits of a number, and a resumed run has no more.
    try recipe.validate()
    let recipe = try Recipe(yaml: recipe.yaml())
    try self.init(recipe, rehearsal: rehearsal, from: nil) {
      try path.map { try RunFolder(creating: $0, recipe: recipe) }
    }
  }

  /// Goes on with the run in the folder `path`, by its own recipe and with as many CPU threads as it
  /// had (``Engine/threadCount`` is set to that).
  ///
  /// - Throws: `MingleError` if there is no run, if another process trains it, or if its files, its
  ///   recipe or its data are not those it was saved with.
  public convenience init(resuming path: String) throws {
    let folder = try RunFolder(opening: path)
    let recipe = try folder.recipe()
    let saved = try folder.restore()  // nil: killed before its first save
    if let saved { Engine.threadCount = min(1024, saved.state.threads) }
    try self.init(recipe, rehearsal: nil, from: saved?.weights) { folder }
    if let saved { try restore(saved.tensors, saved.state) }
  }

  /// - Parameters:
  ///   - weights: the file that a resumed run had saved; nil for the recipe's first weights.
  ///   - makeFolder: called last, so that nothing is left behind when something is wrong.
  private init(
    _ recipe: Recipe, rehearsal: Rehearsal?, from weights: String?,
    makeFolder: () throws -> RunFolder?
  ) throws {
    try recipe.validate()
    device = try Device(parsing: recipe.device)
    task = try recipe.learningTask(rehearsal: rehearsal, from: weights)
    let model = task.model
    try model.freeze(recipe.freeze)
    model.move(to: device)
    trained = model.namedParameters.filter { !$0.parameter.isFrozen }
    routing = RoutingWatch(model)
    optimizer = try recipe.optimizer.make(for: model)
    average = try recipe.emaDecay.map { try AveragedWeights(of: model, decay: $0) }
    generator = Generator(seed: recipe.seed &+ 1)
    isFastRun = if case .fastRun = rehearsal { true } else { false }
    self.recipe = recipe
    folder = isFastRun ? nil : try makeFolder()
    state.data = task.data
    state.recipe = try recipe.yaml()
  }

  // MARK: - Running

  /// Trains to the end, or until `onEvent` wants to stop.
  ///
  /// - Throws: `MingleError` if loss or gradients are not finite, a picture cannot be read, or the
  ///   disk is full; the run can be resumed from its last save.
  @discardableResult
  public func run(
    _ onEvent: (TrainingEvent) throws -> TrainingAction = { _ in .proceed }
  ) throws -> TrainingResult {
    let log = try folder?.log("log.jsonl", from: state.logBytes)
    let metrics = try folder?.log("metrics.csv", from: state.metricsBytes)
    defer { try? log?.flush() }
    try writeReport()  // a crash may have come between the last save and its report
    var wasStopped = try onEvent(.started(plan)) == .stop

    while !wasStopped && state.epoch < epochCount {
      wasStopped = try trainEpoch(of: task, log: log, onEvent)
      if !wasStopped {
        let report = try finishEpoch(onEvent)
        if metrics?.length == 0 { metrics?.append(report.csvHeader(units: task.words.units)) }
        metrics?.append(report.csvRow)
        log?.append(try line(["epoch": report]))
        try save(log, metrics, isBest: report.isBest)
        try writeReport()
        wasStopped = try onEvent(.epoch(report)) == .stop
      } else {
        try save(log, metrics, isBest: false)
      }
      if let folder, try onEvent(.saved(folder: folder.path)) == .stop { wasStopped = true }
    }
    return TrainingResult(
      wasStopped: wasStopped && state.epoch < epochCount, best: state.best, last: state.last,
      skipped: state.skippedTraining.count + state.skippedValidation.count,
      seconds: state.seconds)
  }

  var epochCount: Int { isFastRun ? 1 : recipe.epochs }

  var stepsPerEpoch: Int {
    let steps = (task.batchesPerEpoch + recipe.accumulation - 1) / recipe.accumulation
    return isFastRun ? min(2, steps) : steps
  }

  private var plan: TrainingPlan {
    TrainingPlan(
      model: task.modelName, parameterCount: model.parameterCount,
      trainingSamples: task.data.trainingSamples, validationSamples: task.data.validationSamples,
      classCount: task.data.classNames.count, words: task.words,
      remarks: task.remarks, epochs: epochCount,
      stepsPerEpoch: stepsPerEpoch, stepsDone: state.step)
  }

  /// Trains from the state's batch to the epoch's end; true if it was stopped before.
  private func trainEpoch<Task: LearningTask>(
    of task: Task, log: RunLog?, _ onEvent: (TrainingEvent) throws -> TrainingAction
  ) throws -> Bool {
    model.setMode(.training(generator))
    let stream = task.batches(epoch: state.epoch, from: state.nextBatch)
    let clock = ContinuousClock()
    let start = clock.now
    var lap = start
    var (unitCount, stepCount) = (0, 0)
    let total = stepsPerEpoch * epochCount

    while !(isFastRun && state.step >= stepsPerEpoch) {
      var group: [Task.Item] = []
      while group.count < recipe.accumulation, let batch = try stream.next() {
        group.append(batch)
      }
      guard let last = group.last else { break }
      let targets = group.reduce(0) { $0 + $1.targetCount }
      let units = group.reduce(0) { $0 + $1.unitCount }
      let rate = recipe.schedule.learningRate(at: state.step, of: total)
      let (loss, experts, norm) = try step(task, group, targets: targets, learningRate: rate)

      state.step += 1
      state.nextBatch = last.position + 1
      state.lossSum += loss * Double(targets)
      state.experts = state.experts.averaged(state.targetCount, with: experts, targets)
      state.targetCount += targets
      state.unitCount += units
      unitCount += units
      stepCount += 1
      let now = clock.now
      state.seconds += (now - lap).seconds
      state.epochSeconds += (now - lap).seconds
      lap = now
      let elapsed = max(1e-9, (now - start).seconds)
      let report = StepReport(
        step: state.step, totalSteps: total, epoch: state.epoch + 1, loss: loss,
        learningRate: rate, gradientNorm: norm, unitsPerSecond: Double(unitCount) / elapsed,
        secondsLeft: Double(total - state.step) * elapsed / Double(stepCount), experts: experts)
      log?.append(try line(["step": report]))
      for sample in group.flatMap(\.broken) { try skipTraining(sample, onEvent) }
      if try onEvent(.step(report)) == .stop { return true }
      if let every = recipe.saveEvery, state.step % every == 0, let log {
        try save(log, nil, isBest: false)
        lap = clock.now
      }
    }
    for sample in stream.broken() { try skipTraining(sample, onEvent) }
    return false
  }

  /// Reports a training sample that was left out, once in a run.
  private func skipTraining(
    _ sample: BrokenSample, _ onEvent: (TrainingEvent) throws -> TrainingAction
  ) throws {
    if state.skippedTraining.insert(sample.index).inserted { _ = try onEvent(.skipped(sample)) }
  }

  /// One step over the batches of `group`; the loss is the mean over all their targets. Experts
  /// are balanced in each batch by itself.
  private func step<Task: LearningTask>(
    _ task: Task, _ group: [Task.Item], targets: Int, learningRate: Double
  ) throws -> (loss: Double, experts: ExpertUse?, norm: Double) {
    var loss = 0.0
    var experts: ExpertUse?
    var seen = 0
    var total: Gradients?
    for batch in group {
      let share = Double(batch.targetCount) / Double(max(1, targets))
      let (value, use, gradients) = gradient(of: task, on: batch, share: share)
      loss += value
      experts = experts.averaged(seen, with: use, batch.targetCount)
      seen += batch.targetCount
      if let total { total.addInPlace(gradients) } else { total = gradients }
    }
    guard let total else { return (loss, experts, 0) }
    let norm = recipe.clip.map { total.clip(toNorm: $0) } ?? total.norm
    try total.requireFinite(loss: loss, norm: norm, step: state.step, learningRate: learningRate)
    optimizer.step(total, learningRate: learningRate)
    average?.update()
    return (loss, experts, norm)
  }

  /// `share` times the batch's mean loss, how the experts were used, and the gradient of `share`
  /// times the loss and the experts' balance loss.
  private func gradient<Task: LearningTask>(
    of task: Task, on batch: Task.Item, share: Double
  ) -> (loss: Double, experts: ExpertUse?, gradients: Gradients) {
    var taskLoss: Tensor?
    var experts: ExpertUse?
    let (total, gradients) = valueAndGradient(of: trained) {
      var record: RoutingWatch.Record?
      let loss = task.loss(batch) { forward in
        let (logits, noted) = routing.record {
          withAutocast(recipe.precision.autocast, on: device, forward)
        }
        record = noted
        return logits
      }
      taskLoss = loss.detached()
      experts = record.flatMap(ExpertUse.init)
      let total = record?.loss.map { loss + $0 } ?? loss
      return share == 1 ? total : total * share
    }
    return (share * (taskLoss ?? total).item, experts, gradients)
  }

  /// Evaluates, and moves the state on to the next epoch.
  private func finishEpoch(
    _ onEvent: (TrainingEvent) throws -> TrainingAction
  ) throws -> EpochReport {
    let report = try withEvaluatedWeights {
      try task.evaluate(
        batchLimit: isFastRun ? 2 : nil,
        onBroken: { sample in
          if state.skippedValidation.insert(sample.index).inserted {
            _ = try onEvent(.skipped(sample))
          }
        })
    }
    let isBest = report.isBetter(than: state.best?.validation)
    let epoch = EpochReport(
      epoch: state.epoch + 1, step: state.step,
      trainingLoss: state.lossSum / Double(max(1, state.targetCount)), validation: report,
      learningRate: recipe.schedule.learningRate(
        at: state.step - 1, of: stepsPerEpoch * epochCount),
      unitsPerSecond: Double(state.unitCount) / max(1e-9, state.epochSeconds),
      seconds: state.seconds, isBest: isBest, experts: state.experts)
    state.last = epoch
    if isBest { state.best = epoch }
    state.epoch += 1
    state.nextBatch = 0
    state.lossSum = 0
    state.targetCount = 0
    state.unitCount = 0
    state.experts = nil
    state.epochSeconds = 0
    return epoch
  }

  private func line(_ fields: [String: some Encodable]) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return String(decoding: try encoder.encode(fields), as: UTF8.self)
  }
}
