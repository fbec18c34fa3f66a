import Foundation
import Torch

/// How well a language model finds masked tokens, counted batch by batch.
public struct MaskedTokenMetrics: Sendable, Hashable {
  public private(set) var tokenCount = 0
  private var correct = 0
  private var lossSum = 0.0

  public init() {}

  /// Takes in a batch; a batch without masked tokens counts nothing.
  ///
  /// - Parameters:
  ///   - logits: scores of the masked tokens, [M, V], on any device.
  ///   - labels: the tokens that stood there, [M] int64, on the same device.
  ///   - loss: the mean over these tokens of the negative logarithm of the right one's probability.
  public mutating func add(_ logits: Tensor, _ labels: Tensor, loss: Double) {
    precondition(
      logits.rank == 2 && labels.shape == [logits.shape[0]], "logits \(logits), labels \(labels)")
    guard labels.count > 0 else { return }
    let best = logits.detached().topK(1).indices.array(of: Int.self)
    correct += zip(best, labels.array(of: Int.self)).count { $0 == $1 }
    tokenCount += labels.count
    lossSum += loss * Double(labels.count)
  }

  /// Takes in what other metrics counted.
  public mutating func add(_ other: MaskedTokenMetrics) {
    tokenCount += other.tokenCount
    correct += other.correct
    lossSum += other.lossSum
  }

  /// The share of masked tokens that were found, 0 to 1; 0 without any.
  public var accuracy: Double { tokenCount == 0 ? 0 : Double(correct) / Double(tokenCount) }

  /// The mean loss over all masked tokens; nil without any, or if it is not finite.
  public var meanLoss: Double? {
    let mean = lossSum / Double(tokenCount)
    return mean.isFinite ? mean : nil
  }

  /// `exp(meanLoss)`: as unsure as a choice among so many equally likely tokens. Nil where it is not
  /// finite.
  public var perplexity: Double? {
    meanLoss.map { exp($0) }.flatMap { $0.isFinite ? $0 : nil }
  }
}
