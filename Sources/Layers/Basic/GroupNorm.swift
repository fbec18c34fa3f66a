import Torch

/// `y = (x - mean) / sqrt(variance + epsilon) * weight + bias` with the statistics of each of
/// `groups` equal parts of a sample's channels, over all positions (Wu and He 2018):
/// [B, C, ...] -> [B, C, ...]. Gain starts at 1, bias at 0.
public final class GroupNorm: Module {
  public let weight: Parameter  // [C]
  public let bias: Parameter  // [C]
  public let groups: Int
  public let epsilon: Double

  public init(_ channels: Int, groups: Int = 1, epsilon: Double = 1e-5) {
    weight = Parameter(.ones([channels]))
    bias = Parameter(.zeros([channels]))
    self.groups = groups
    self.epsilon = epsilon
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    traced(x.groupNorm(weight.tensor, bias.tensor, groups: groups, epsilon: epsilon))
  }
}
