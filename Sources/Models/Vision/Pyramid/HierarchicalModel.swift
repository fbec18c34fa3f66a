import Layers
import Torch

/// The last map of one resolution.
public struct PyramidLevel: Sendable, Hashable {
  /// The stage that ends with it: "layers.0.blocks.1".
  public let stage: String
  public let channels: Int
  /// The checkpoint key of the norm that dense tasks put behind it: "norm0".
  public let normKey: String
}

/// A model whose maps shrink by 2 from level to level, as detection and segmentation need them.
public protocol HierarchicalModel: VisionModel {
  /// From the finest map to the coarsest: strides 4, 8, 16, 32 for patches of 4 pixels.
  var pyramidLevels: [PyramidLevel] { get }
  /// The checkpoint keys, or their beginnings, of what comes after the last level.
  var keysBeyondLevels: [String] { get }

  /// A new norm as the family's backbone for dense tasks has it behind each level; nil for none.
  static func levelNorm(channels: Int) -> (any Layer)?
  /// A stage's output as a map: [B, C, H, W].
  static func map(_ output: Tensor) -> Tensor
}

extension HierarchicalModel {
  /// The stages after the last level, and the classifier.
  public var keysBeyondLevels: [String] {
    let names = stages.map(\.name)
    let last = pyramidLevels.last.flatMap { names.firstIndex(of: $0.stage) } ?? names.count - 1
    return names[(last + 1)...] + [Self.headKey]
  }

  public static func levelNorm(channels: Int) -> (any Layer)? { nil }
  public static func map(_ output: Tensor) -> Tensor { output }
}
