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
  /// What matrix products are computed in.
  private let products: Precision
  /// How residual branches are computed; nil: by kernels.
  private(set) var branches: BranchRoutes? = BranchRoutes()
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
    try self.init(
      recipe, rehearsal: nil, from: saved?.weights,
      products: saved.map { $0.state.products ?? recipe.precision }
    ) { folder }
    if let saved {
      branches = saved.state.branches.map { BranchRoutes($0) }
      try restore(saved.tensors, saved.state)
    }
  }

  /// - Parameters:
  ///   - weights: the file that a resumed run had saved; nil for the recipe's first weights.
  ///   - products: what a resumed run's products were computed in; nil for a run that starts.
  ///   - makeFolder: called last, so that nothing is left behind when something is wrong.
  private init(
    _ recipe: Recipe, rehearsal: Rehearsal?, from weights: String?, products: Precision? = nil,
    makeFolder: () throws -> RunFolder?
  ) throws {
    try recipe.validate()
    device = try Device(parsing: recipe.device)
    self.products = products ?? recipe.precision.products(on: device)
    var computed = recipe
    computed.precision = self.products
    task = try computed.learningTask(rehearsal: rehearsal, from: weights)
    let model = task.model
    try model.freeze(recipe.freeze)
    model.move(to: device)
    model.keepLowPrecisionWeights(self.products.autocast != nil)
    trained = model.namedParameters.filter { !$0.parameter.isFrozen }
    routing = RoutingWatch(model)
    optimizer = try recipe.optimizer.make(for: model)
    average = try recipe.emaDecay.map { try AveragedWeights(of: model, decay: $0) }
    generator = Generator(seed: recipe.seed &+ 1)
    isFastRun = if case .fastRun = rehearsal { true } else { false }
    self.recipe = recipe
    folder = isFastRun ? nil : try makeFolder()
    state.data = task.data
    state.products = self.products
    state.recipe = try recipe.yaml()
  }

  private var precisionRemarks: [String] {
    products == recipe.precision
      ? []
      : ["products are computed in \(products.rawValue), faster where the run began"]
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
      remarks: task.remarks + precisionRemarks, epochs: epochCount,
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
      guard let sum = try gradientSum(of: task, over: stream) else { break }
      let rate = recipe.schedule.learningRate(at: state.step, of: total)
      let norm = try step(sum, learningRate: rate)
      let (loss, experts) = (sum.loss, sum.experts)

      state.step += 1
      state.nextBatch = sum.nextBatch
      state.lossSum += loss * Double(sum.targetCount)
      state.experts = state.experts.averaged(state.targetCount, with: experts, sum.targetCount)
      state.targetCount += sum.targetCount
      state.unitCount += sum.unitCount
      unitCount += sum.unitCount
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
      for sample in sum.broken { try skipTraining(sample, onEvent) }
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

  /// What the batches of one step came to.
  private struct GradientSum {
    /// The mean over all targets.
    var loss = 0.0
    var experts: ExpertUse?
    /// `scale` times these are the gradients of the mean loss.
    var gradients: Gradients
    var scale = 1.0
    var targetCount = 0
    var unitCount = 0
    var nextBatch = 0
    var broken: [BrokenSample] = []
  }

  /// Adds up the gradients of the next batches, as many as make a step; nil at the epoch's end. Each
  /// batch is let go of before the next is taken, which is prepared meanwhile.
  ///
  /// The mean is over all targets: with more than one batch, each counts as often as it has targets, and
  /// the sum is divided in the end. Experts are balanced in each batch by itself.
  private func gradientSum<Task: LearningTask>(
    of task: Task, over stream: TaskStream<Task.Item>
  ) throws -> GradientSum? {
    let isAlone = recipe.accumulation == 1
    var sum: GradientSum?
    for _ in 0..<recipe.accumulation {
      guard let batch = try stream.next() else { break }
      let targets = batch.targetCount
      let weight = Double(isAlone ? min(1, targets) : targets)
      let (loss, use, gradients) = gradient(of: task, on: batch, weight: weight)
      sum?.gradients.addInPlace(gradients)
      var total = sum ?? GradientSum(gradients: gradients)
      total.loss += loss
      total.experts = total.experts.averaged(total.targetCount, with: use, targets)
      total.targetCount += targets
      total.unitCount += batch.unitCount
      total.nextBatch = batch.position + 1
      total.broken += batch.broken
      sum = total
    }
    if !isAlone, var total = sum {
      total.scale = 1 / Double(max(1, total.targetCount))
      total.loss *= total.scale
      sum = total
    }
    return sum
  }

  /// Changes the weights, and their average; returns the gradient's norm before clipping.
  private func step(_ sum: GradientSum, learningRate: Double) throws -> Double {
    let norm = sum.scale * sum.gradients.norm
    try sum.gradients.requireFinite(
      loss: sum.loss, norm: norm, step: state.step, learningRate: learningRate)
    let clipping = recipe.clip.map { norm > $0 ? $0 / norm : 1 } ?? 1
    optimizer.step(
      sum.gradients, scale: sum.scale * clipping, learningRate: learningRate, updating: average)
    return norm
  }

  /// `weight` times the batch's mean loss, how the experts were used, and the gradient of `weight` times
  /// the loss and the experts' balance loss.
  private func gradient<Task: LearningTask>(
    of task: Task, on batch: Task.Item, weight: Double
  ) -> (loss: Double, experts: ExpertUse?, gradients: Gradients) {
    var taskLoss: Tensor?
    var experts: ExpertUse?
    // Also in the backward pass, in which checkpointing computes branches again.
    let (total, gradients) = BranchRoutes.$current.withValue(branches) {
      valueAndGradient(of: trained) {
        var record: RoutingWatch.Record?
        let loss = task.loss(batch) { forward in
          let (logits, noted) = routing.record {
            withActivationCheckpointing(recipe.activationCheckpointing, generator: generator) {
              withAutocast(products.autocast, on: device, forward)
            }
          }
          record = noted
          return logits
        }
        taskLoss = loss.detached()
        experts = record.flatMap(ExpertUse.init)
        let total = record?.loss.map { loss + $0 } ?? loss
        return weight == 1 ? total : total * weight
      }
    }
    return (weight * (taskLoss ?? total).item, experts, gradients)
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
