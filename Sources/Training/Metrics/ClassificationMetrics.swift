import Torch

/// Counts right and wrong answers, batch by batch.
///
/// ```swift
/// var metrics = ClassificationMetrics(classCount: 10)
/// for batch in batches { metrics.add(model.logits(batch.images), batch.labels) }
/// print(metrics.report().table)
/// ```
public struct ClassificationMetrics: Sendable {
  public let classCount: Int
  /// How many of a picture's best classes may hold its label to count in the top-k accuracy; never
  /// more than there are classes.
  public let k: Int
  public private(set) var sampleCount = 0

  /// Which label was taken for which class.
  private struct Cell: Hashable {
    let label: Int
    let prediction: Int
  }

  private var counts: [Cell: Int] = [:]
  private var correctInTopK = 0
  private var lossSum = 0.0
  private var lossSampleCount = 0

  public init(classCount: Int, topK k: Int = 5) {
    precondition(classCount > 0 && k > 0, "top \(k) of \(classCount) classes")
    self.classCount = classCount
    self.k = min(k, classCount)
  }

  /// Takes in a batch.
  ///
  /// - Parameters:
  ///   - logits: [B, K], on any device.
  ///   - labels: the class of each picture, from 0 up to K: [B] int64.
  ///   - loss: the batch's mean loss.
  public mutating func add(_ logits: Tensor, _ labels: Tensor, loss: Double? = nil) {
    precondition(
      logits.rank == 2 && logits.shape[1] == classCount && labels.shape == [logits.shape[0]],
      "logits \(logits) with labels \(labels) of \(classCount) classes")
    let labels = labels.array(of: Int.self)
    let best = logits.detached().topK(k).indices.array(of: Int.self)
    for (row, label) in labels.enumerated() {
      precondition((0..<classCount).contains(label), "label \(label) of \(classCount) classes")
      let answers = best[row * k..<(row + 1) * k]
      counts[Cell(label: label, prediction: answers[row * k]), default: 0] += 1
      if answers.contains(label) { correctInTopK += 1 }
    }
    sampleCount += labels.count
    if let loss {
      lossSum += loss * Double(labels.count)
      lossSampleCount += labels.count
    }
  }

  /// The share of pictures whose best class is their label, 0 to 1; 0 without pictures.
  public var accuracy: Double {
    let correct = counts.reduce(0) { $0 + ($1.key.label == $1.key.prediction ? $1.value : 0) }
    return share(correct, of: sampleCount)
  }

  /// The share of pictures whose label is among their `k` best classes.
  public var topKAccuracy: Double { share(correctInTopK, of: sampleCount) }

  /// The mean over pictures of the losses that were given; nil without any, or if it is not finite.
  public var meanLoss: Double? {
    let mean = lossSum / Double(lossSampleCount)
    return mean.isFinite ? mean : nil
  }

  /// What has been counted so far.
  ///
  /// - Parameter classNames: one for each class; without, their numbers.
  public func report(classNames: [String]? = nil) -> ClassificationReport {
    precondition(classNames.map { $0.count == classCount } ?? true, "a name for each class")
    var support = [Int](repeating: 0, count: classCount)
    var predicted = support
    var correct = support
    for (cell, count) in counts {
      support[cell.label] += count
      predicted[cell.prediction] += count
      if cell.label == cell.prediction { correct[cell.label] += count }
    }
    let classes = (0..<classCount).map { index in
      ClassificationReport.Class(
        name: classNames?[index] ?? String(index),
        precision: share(correct[index], of: predicted[index]),
        recall: share(correct[index], of: support[index]),
        f1: share(2 * correct[index], of: support[index] + predicted[index]),
        support: support[index])
    }
    let seen = classes.indices.filter { support[$0] + predicted[$0] > 0 }
    return ClassificationReport(
      samples: sampleCount, loss: meanLoss, accuracy: accuracy,
      topK: .init(k: k, accuracy: topKAccuracy),
      macroF1: seen.isEmpty ? 0 : seen.reduce(0) { $0 + classes[$1].f1 } / Double(seen.count),
      classes: classes, confusion: confusion)
  }

  private var confusion: [[Int]]? {
    guard classCount <= ClassificationReport.largestConfusion else { return nil }
    var rows = [[Int]](repeating: [Int](repeating: 0, count: classCount), count: classCount)
    for (cell, count) in counts { rows[cell.label][cell.prediction] = count }
    return rows
  }
}

private func share(_ part: Int, of whole: Int) -> Double {
  whole == 0 ? 0 : Double(part) / Double(whole)
}
