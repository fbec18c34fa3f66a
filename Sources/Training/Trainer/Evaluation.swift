import Data
import Models
import Torch

/// The accuracy and loss of `model` on all samples of `loader`, computed as in training.
///
/// - Parameters:
///   - batchLimit: stops after so many batches; nil takes all.
///   - onBatch: told the number of batches done; may throw to stop.
///   - onBroken: told each sample that was left out.
/// - Throws: `MingleError` for a sample that cannot be read, unless the loader skips such.
public func evaluate(
  _ model: any VisionModel, on loader: BatchLoader, loss: Loss = .softmax,
  precision: Precision = .float32, batchLimit: Int? = nil,
  onBatch: (Int) throws -> Void = { _ in },
  onBroken: (BrokenSample) throws -> Void = { _ in }
) throws -> ClassificationReport {
  let device = model.head.weight.tensor.device
  model.setMode(.evaluation)
  return try evaluate(
    classCount: model.configuration.classes, on: loader, loss: loss, batchLimit: batchLimit,
    onBatch: onBatch, onBroken: onBroken
  ) { images in
    withAutocast(precision.products(on: device).autocast, on: device) {
      model.logits(images.to(device))
    }.to(.float32)
  }
}

/// The accuracy and loss of `logits`, from pictures [B, channels, height, width] to one number for each
/// of `classCount` classes [B, K] in float32, on all samples of `loader`.
///
/// ```swift
/// let report = try evaluate(classCount: 10, on: loader) { predictor.logits($0) }
/// ```
///
/// - Throws: `MingleError` for a sample that cannot be read, unless the loader skips such.
public func evaluate(
  classCount: Int, on loader: BatchLoader, loss: Loss = .softmax, batchLimit: Int? = nil,
  onBatch: (Int) throws -> Void = { _ in },
  onBroken: (BrokenSample) throws -> Void = { _ in },
  logits: (Tensor) throws -> Tensor
) throws -> ClassificationReport {
  var metrics = ClassificationMetrics(classCount: classCount)
  let stream = loader.batches(epoch: 0)
  var done = 0
  while done < batchLimit ?? .max, let batch = try stream.next() {
    try withoutGradients {
      let logits = try logits(batch.images)
      let labels = batch.labels.to(logits.device)
      metrics.add(logits, labels, loss: loss(logits, labels).item)
    }
    done += 1
    try onBatch(done)
  }
  for sample in stream.broken { try onBroken(sample) }
  let names = loader.dataset.classNames
  return metrics.report(classNames: names.count == metrics.classCount ? names : nil)
}
