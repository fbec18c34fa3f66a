import Data
import Models
import Torch

/// The accuracy and loss of `model` on all samples of `loader`.
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
  var metrics = ClassificationMetrics(classCount: model.configuration.classes)
  let stream = loader.batches(epoch: 0)
  var done = 0
  while done < batchLimit ?? .max, let batch = try stream.next() {
    withoutGradients {
      let logits = withAutocast(precision.autocast, on: device) {
        model.logits(batch.images.to(device))
      }.to(.float32)
      let labels = batch.labels.to(device)
      metrics.add(logits, labels, loss: loss(logits, labels).item)
    }
    done += 1
    try onBatch(done)
  }
  for sample in stream.broken { try onBroken(sample) }
  let names = loader.dataset.classNames
  return metrics.report(classNames: names.count == metrics.classCount ? names : nil)
}
