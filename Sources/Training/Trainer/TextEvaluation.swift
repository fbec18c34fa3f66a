import Data
import Layers
import Models
import Torch

/// How `model` finds the classes, or the values, of the texts of `loader`.
///
/// - Parameters:
///   - name: what the report calls these texts.
///   - classNames: one for each class; without, their numbers.
///   - batchLimit: stops after so many batches; nil takes all.
///   - logits: computes the answers in float32, in another way than in training.
///   - onBatch: told the number of texts done; may throw to stop.
public func evaluate(
  _ model: any LanguageModel, on loader: TextLoader, named name: String,
  classNames: [String]? = nil, precision: Precision = .float32, batchLimit: Int? = nil,
  logits: ((TextBatch) -> Tensor)? = nil, onBatch: (Int) throws -> Void = { _ in }
) throws -> TextReport.Part {
  let device = model.device
  model.setMode(.evaluation)
  var classes = ClassificationMetrics(classCount: model.configuration.classes)
  var (answers, labels): ([Double], [Double]) = ([], [])
  var lossSum = 0.0
  let stream = loader.batches(epoch: 0)
  var batches = 0
  while batches < batchLimit ?? .max, let batch = try stream.next() {
    guard let wanted = batch.labels?.to(device) else { break }
    try withoutGradients {
      let logits =
        logits?(batch)
        ?? withAutocast(precision.products(on: device).autocast, on: device) {
          model.logits(batch, on: device)
        }.to(.float32)
      let loss = textLoss(logits, wanted).item
      lossSum += loss * Double(batch.count)
      if wanted.dtype == .int64 { classes.add(logits, wanted, loss: loss) }
      answers +=
        wanted.dtype == .int64
        ? logits.topK(1).indices.array(of: Int.self).map(Double.init)
        : logits.array(of: Double.self)
      labels += wanted.array(of: Double.self)
      try onBatch(labels.count)
    }
    batches += 1
  }
  let loss = lossSum / Double(max(1, labels.count))
  let areClasses = loader.data.examples.target.map { $0 != .value } ?? true
  return TextReport.Part(
    name: name, samples: labels.count, loss: loss.isFinite ? loss : nil,
    classes: areClasses ? classes.report(classNames: classNames) : nil,
    answers: areClasses
      ? AnswerScores(
        answers: answers.map { Int($0) }, labels: labels.map { Int($0) },
        classCount: classes.classCount) : nil,
    values: areClasses ? nil : ValueScores(answers: answers, labels: labels))
}

/// Softmax cross-entropy of logits [B, K] with classes [B] (int64), or the mean squared difference of
/// [B, 1] and values [B].
func textLoss(_ logits: Tensor, _ labels: Tensor) -> Tensor {
  if labels.dtype == .int64 { return logits.crossEntropy(labels) }
  let difference = logits.flattened(from: 0, to: 1) - labels
  return (difference * difference).mean()
}

/// How `model` answers the questions of `loader`.
///
/// - Parameters:
///   - logits: computes the answers in float32, in another way than in training.
///   - onBatch: told the number of windows done; may throw to stop.
public func evaluate(
  _ model: any LanguageModel, on loader: SQuADLoader,
  options: SQuADAnswerOptions = SQuADAnswerOptions(), precision: Precision = .float32,
  batchLimit: Int? = nil, logits: ((TextBatch) -> Tensor)? = nil,
  onBatch: (Int) throws -> Void = { _ in }
) throws -> QuestionReport {
  let device = model.device
  model.setMode(.evaluation)
  var predictor = SQuADPredictor(loader.data, options: options)
  var (lossSum, lossCount, done) = (0.0, 0, 0)
  let stream = loader.batches(epoch: 0)
  var batches = 0
  while batches < batchLimit ?? .max, let batch = try stream.next() {
    withoutGradients {
      let logits =
        logits?(batch.texts)
        ?? withAutocast(precision.products(on: device).autocast, on: device) {
          model.logits(batch.texts, on: device)
        }.to(.float32)
      predictor.add(logits, indices: batch.indices)
      if let spans = batch.spans {
        lossSum += spanLoss(logits, spans.to(device)).item * Double(batch.count)
        lossCount += batch.count
      }
    }
    batches += 1
    done += batch.count
    try onBatch(done)
  }
  let loss = lossSum / Double(lossCount)
  return QuestionReport(
    loss: loss.isFinite ? loss : nil,
    score: SQuADScore(loader.data.data, predictor.predictions(), options))
}

/// The mean of the cross-entropies of first and last token: logits [B, S, 2], spans [B, 2] (int64).
func spanLoss(_ logits: Tensor, _ spans: Tensor) -> Tensor {
  let losses = (0..<2).map { logits.select(2, $0).crossEntropy(spans.select(1, $0)) }
  return (losses[0] + losses[1]) * 0.5
}

extension SQuADScore {
  /// The scores of what a model predicted; where it may answer nothing, the thresholds that would have
  /// been best are found as well.
  init(_ data: SQuAD, _ predictions: [SQuADPrediction], _ options: SQuADAnswerOptions) {
    func byID<Value>(_ value: (SQuADPrediction) -> Value) -> [String: Value] {
      Dictionary(predictions.map { ($0.id, value($0)) }) { first, _ in first }
    }
    if options.allowsNone {
      self.init(
        data, answers: byID { $0.answers.first?.text ?? "" }, noneScores: byID(\.noneScore),
        threshold: options.noneThreshold)
    } else {
      self.init(data, answers: byID(\.text))
    }
  }
}

/// How well `model` finds the tokens behind the masks of `loader`.
///
/// - Parameters:
///   - logits: computes those behind the masks in float32, in another way than in training.
///   - onBatch: told the number of sequences done; may throw to stop.
public func evaluate(
  _ model: any LanguageModel, on loader: MaskedLoader, precision: Precision = .float32,
  batchLimit: Int? = nil, logits: ((MaskedBatch) -> Tensor)? = nil,
  onBatch: (Int) throws -> Void = { _ in }
) throws -> MaskedReport {
  let device = model.device
  model.setMode(.evaluation)
  var metrics = MaskedTokenMetrics()
  let stream = loader.batches(epoch: 0)
  var (batches, done) = (0, 0)
  while batches < batchLimit ?? .max, let batch = try stream.next() {
    withoutGradients {
      let logits =
        logits?(batch)
        ?? withAutocast(precision.products(on: device).autocast, on: device) {
          model.maskedLogits(batch, on: device)
        }.to(.float32)
      let labels = batch.labels.to(device)
      let loss = labels.count > 0 ? logits.crossEntropy(labels).item : 0
      metrics.add(logits, labels, loss: loss)
    }
    batches += 1
    done += batch.tokens.shape[0]
    try onBatch(done)
  }
  return MaskedReport(metrics)
}

extension LanguageModel {
  /// The logits of a batch's masked positions: [M, V].
  func maskedLogits(_ batch: MaskedBatch, on device: Device) -> Tensor {
    maskedLogits(
      batch.tokens.to(device), at: batch.positions.to(device), mask: batch.mask?.to(device))
  }

  /// Where the weights are.
  var device: Device { state.first?.tensor.device ?? .cpu }
}
