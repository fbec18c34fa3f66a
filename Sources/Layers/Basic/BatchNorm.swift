import Torch

/// `y = (x - mean) / sqrt(variance + epsilon) * weight + bias` for each channel (Ioffe and Szegedy
/// 2015): [B, C, ...] -> [B, C, ...]. Gain starts at 1 unless a model says
/// otherwise, bias at 0.
///
/// While training, the statistics are the batch's, and the running ones move towards them (the
/// variance without bias); otherwise the running ones count. One value for a channel has no variance:
/// then the running statistics count in training, too.
public final class BatchNorm: ModeDependent {
  public let weight: Parameter  // [C]
  public let bias: Parameter  // [C]
  public let runningMean: Buffer  // [C]
  public let runningVar: Buffer  // [C]
  public let numBatchesTracked: Buffer  // [], int64
  /// The share of the batch's statistics in the running ones.
  public let momentum: Double
  public let epsilon: Double
  public var mode = Mode.evaluation

  /// - Parameter gain: what the gain starts at.
  public init(
    _ channels: Int, gain: Double = 1, momentum: Double = 0.1, epsilon: Double = 1e-5
  ) {
    weight = Parameter(.full([channels], gain))
    bias = Parameter(.zeros([channels]))
    runningMean = Buffer(.zeros([channels]))
    runningVar = Buffer(.ones([channels]))
    numBatchesTracked = Buffer(.zeros([], dtype: .int64))
    self.momentum = momentum
    self.epsilon = epsilon
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    var learns = false
    if case .training = mode { learns = x.count > x.shape[1] }
    // A pass that is repeated has been counted.
    let moves = learns && !Checkpointing.isRepeating
    if moves { numBatchesTracked.tensor.addInPlace(1) }
    let keeps = moves || !learns
    return traced(
      x.batchNorm(
        weight.tensor, bias.tensor, runningMean: keeps ? runningMean.tensor : nil,
        runningVariance: keeps ? runningVar.tensor : nil, momentum: learns ? momentum : nil,
        epsilon: epsilon))
  }
}
