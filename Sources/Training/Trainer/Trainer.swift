import Data
import Foundation
import Layers
import Models
import Torch

/// Trains an image classifier by a recipe, in a folder of its own.
///
/// ```swift
/// let trainer = try Trainer(recipe, in: "runs/flowers")
/// let result = try trainer.run { event in
///   if case .epoch(let epoch) = event { print(epoch.validation.accuracy) }
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
  public var model: any VisionModel { checkpoint.model }

  let folder: RunFolder?
  let checkpoint: ModelCheckpoint
  let training: BatchLoader
  let validation: BatchLoader
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
    try self.init(recipe, rehearsal: nil, from: saved?.checkpoint) { folder }
    if let saved { try restore(saved.checkpoint, saved.tensors, saved.state) }
  }

  /// - Parameters:
  ///   - start: what a resumed run had saved; nil for the recipe's first weights.
  ///   - makeFolder: called last, so that nothing is left behind when something is wrong.
  private init(
    _ recipe: Recipe, rehearsal: Rehearsal?, from start: ModelCheckpoint?,
    makeFolder: () throws -> RunFolder?
  ) throws {
    try recipe.validate()
    device = try Device(parsing: recipe.device)
    var (train, test) = try openTrainingData(
      at: recipe.data, holdingOut: recipe.holdOut, seed: recipe.seed)
    var augmentation = recipe.augmentation
    if case .overfit(let batches) = rehearsal {
      var random = RandomNumbers(seed: recipe.seed, .order)
      let order = Array(0..<train.count).shuffled(using: &random)
      let count = min(batches, 1 + train.count / recipe.batchSize) * recipe.batchSize
      train = DatasetSubset(train, indices: Array(order.prefix(count)))
      test = train
      augmentation = .none
    }
    checkpoint = try start ?? recipe.initialCheckpoint(classNames: train.classNames)
    let model = checkpoint.model
    try model.freeze(recipe.freeze)
    model.move(to: device)
    trained = model.namedParameters.filter { !$0.parameter.isFrozen }
    routing = RoutingWatch(model)

    var options = LoaderOptions.training(
      batchSize: recipe.batchSize, seed: recipe.seed, workers: recipe.workers)
    options.dropsLast = false
    options.skipsBroken = recipe.skipBroken
    training = try BatchLoader(
      train, preprocessing: checkpoint.preprocessing, augmentation: augmentation, options: options)
    options.isShuffled = false
    validation = try BatchLoader(
      test, preprocessing: checkpoint.preprocessing, options: options)
    optimizer = try recipe.optimizer.make(for: model)
    average = try recipe.emaDecay.map { try AveragedWeights(of: model, decay: $0) }
    generator = Generator(seed: recipe.seed &+ 1)
    isFastRun = if case .fastRun = rehearsal { true } else { false }
    self.recipe = recipe
    folder = isFastRun ? nil : try makeFolder()
    state.data = RunState.DataSummary(
      trainingSamples: train.count, validationSamples: test.count, classNames: train.classNames)
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
    if metrics?.length == 0 { metrics?.append(EpochReport.csvHeader(experts: routing.names)) }
    try writeReport()  // a crash may have come between the last save and its report
    var wasStopped = try onEvent(.started(plan)) == .stop

    while !wasStopped && state.epoch < epochCount {
      wasStopped = try trainEpoch(log: log, onEvent)
      if !wasStopped {
        let report = try finishEpoch(onEvent)
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
    let steps = (training.batchesPerEpoch + recipe.accumulation - 1) / recipe.accumulation
    return isFastRun ? min(2, steps) : steps
  }

  private var plan: TrainingPlan {
    TrainingPlan(
      model: checkpoint.name, parameterCount: model.parameterCount,
      trainingSamples: training.dataset.count, validationSamples: validation.dataset.count,
      classCount: model.configuration.classes, epochs: epochCount, stepsPerEpoch: stepsPerEpoch,
      stepsDone: state.step)
  }

  /// Trains from the state's batch to the epoch's end; true if it was stopped before.
  private func trainEpoch(
    log: RunLog?, _ onEvent: (TrainingEvent) throws -> TrainingAction
  ) throws -> Bool {
    model.setMode(.training(generator))
    let stream = training.batches(epoch: state.epoch, from: state.nextBatch)
    let clock = ContinuousClock()
    let start = clock.now
    var lap = start
    var (imageCount, stepCount) = (0, 0)
    let total = stepsPerEpoch * epochCount

    while !(isFastRun && state.step >= stepsPerEpoch) {
      var group: [Batch] = []
      while group.count < recipe.accumulation, let batch = try stream.next() {
        group.append(batch)
      }
      guard let last = group.last else { break }
      let samples = group.reduce(0) { $0 + $1.count }
      let rate = recipe.schedule.learningRate(at: state.step, of: total)
      let (loss, experts, norm) = try step(group, samples: samples, learningRate: rate)

      state.step += 1
      state.nextBatch = last.position + 1
      state.lossSum += loss * Double(samples)
      state.experts = state.experts.averaged(state.sampleCount, with: experts, samples)
      state.sampleCount += samples
      imageCount += samples
      stepCount += 1
      let now = clock.now
      state.seconds += (now - lap).seconds
      state.epochSeconds += (now - lap).seconds
      lap = now
      let elapsed = max(1e-9, (now - start).seconds)
      let report = StepReport(
        step: state.step, totalSteps: total, epoch: state.epoch + 1, loss: loss,
        learningRate: rate, gradientNorm: norm, imagesPerSecond: Double(imageCount) / elapsed,
        secondsLeft: Double(total - state.step) * elapsed / Double(stepCount), experts: experts)
      log?.append(try line(["step": report]))
      for sample in group.flatMap(\.broken) { try skipTraining(sample, onEvent) }
      if try onEvent(.step(report)) == .stop { return true }
      if let every = recipe.saveEvery, state.step % every == 0, let log {
        try save(log, nil, isBest: false)
        lap = clock.now
      }
    }
    for sample in stream.broken { try skipTraining(sample, onEvent) }
    return false
  }

  /// Reports a training picture that was left out, once in a run.
  private func skipTraining(
    _ sample: BrokenSample, _ onEvent: (TrainingEvent) throws -> TrainingAction
  ) throws {
    if state.skippedTraining.insert(sample.index).inserted { _ = try onEvent(.skipped(sample)) }
  }

  /// One step over the batches of `group`; the loss is the mean over all their samples. Experts
  /// are balanced in each batch by itself.
  private func step(
    _ group: [Batch], samples: Int, learningRate: Double
  ) throws -> (loss: Double, experts: ExpertUse?, norm: Double) {
    var loss = 0.0
    var experts: ExpertUse?
    var seen = 0
    var total: Gradients?
    for batch in group {
      let share = Double(batch.count) / Double(samples)
      let (value, use, gradients) = gradient(of: model, on: batch, share: share)
      loss += value
      experts = experts.averaged(seen, with: use, batch.count)
      seen += batch.count
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
  private func gradient(
    of model: some VisionModel, on batch: Batch, share: Double
  ) -> (loss: Double, experts: ExpertUse?, gradients: Gradients) {
    let images = batch.images.to(device)
    var task: Tensor?
    var experts: ExpertUse?
    let (total, gradients) = valueAndGradient(of: trained) {
      let (logits, record) = routing.record {
        withAutocast(recipe.precision.autocast, on: device) { model.logits(images) }
      }
      let loss = recipe.loss(logits, batch.labels.to(device), batch.targets?.to(device))
      task = loss.detached()
      experts = ExpertUse(record)
      let total = record.loss.map { loss + $0 } ?? loss
      return share == 1 ? total : total * share
    }
    return (share * (task ?? total).item, experts, gradients)
  }

  /// Evaluates, and moves the state on to the next epoch.
  private func finishEpoch(
    _ onEvent: (TrainingEvent) throws -> TrainingAction
  ) throws -> EpochReport {
    let report = try withEvaluatedWeights {
      try evaluate(
        model, on: validation, loss: recipe.loss, precision: recipe.precision,
        batchLimit: isFastRun ? 2 : nil,
        onBroken: { sample in
          if state.skippedValidation.insert(sample.index).inserted {
            _ = try onEvent(.skipped(sample))
          }
        })
    }
    let isBest = report.accuracy > state.best?.validation.accuracy ?? -1
    let epoch = EpochReport(
      epoch: state.epoch + 1, step: state.step,
      trainingLoss: state.lossSum / Double(max(1, state.sampleCount)), validation: report,
      learningRate: recipe.schedule.learningRate(
        at: state.step - 1, of: stepsPerEpoch * epochCount),
      imagesPerSecond: Double(state.sampleCount) / max(1e-9, state.epochSeconds),
      seconds: state.seconds, isBest: isBest, experts: state.experts)
    state.last = epoch
    if isBest { state.best = epoch }
    state.epoch += 1
    state.nextBatch = 0
    state.lossSum = 0
    state.sampleCount = 0
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
