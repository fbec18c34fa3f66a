import Layers

/// As in ggjy/Hire-Wave-MLP.pytorch, mmseg-v0.11.
extension HireMLP: HierarchicalModel {
  public var pyramidLevels: [PyramidLevel] {
    configuration.dims.enumerated().map { index, dim in
      PyramidLevel(
        stage: "network.\(2 * index)", channels: dim, normKey: "norm\(2 * index)")
    }
  }

  public static func levelNorm(channels: Int) -> (any Layer)? { BatchNorm(channels) }
}
