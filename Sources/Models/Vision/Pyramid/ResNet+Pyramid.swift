/// The maps of the four stages, without norms.
extension ResNet: HierarchicalModel {
  public var pyramidLevels: [PyramidLevel] {
    configuration.dims.enumerated().map { index, dim in
      PyramidLevel(
        stage: "layer\(index + 1)", channels: dim * configuration.block.expansion,
        normKey: "norm\(index)")
    }
  }
}
