/// The outputs of the stages, before any activation.
extension NFNet: HierarchicalModel {
  public var pyramidLevels: [PyramidLevel] {
    configuration.dims.enumerated().map { index, dim in
      PyramidLevel(
        stage: "stages.\(index)", channels: configuration.scaled(dim), normKey: "norm\(index)")
    }
  }
}
