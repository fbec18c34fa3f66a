import Layers

/// As in svip-lab/AS-MLP-Object-Detection and AS-MLP-Semantic-Segmentation.
extension ASMLP: HierarchicalModel {
  public var pyramidLevels: [PyramidLevel] {
    zip(configuration.depths, configuration.dims).enumerated().map { index, stage in
      PyramidLevel(
        stage: "layers.\(index).blocks.\(stage.0 - 1)", channels: stage.1, normKey: "norm\(index)")
    }
  }

  public static func levelNorm(channels: Int) -> (any Layer)? { GroupNorm(channels) }
}
