/// As in okojoalg/raft-mlp, backbones: the first map is the one before the first level's blocks.
extension RaftMLP: HierarchicalModel {
  public var pyramidLevels: [PyramidLevel] {
    configuration.dims.enumerated().map { index, dim in
      let isFirst = index == 0 && configuration.dims.count > 1
      return PyramidLevel(
        stage: "levels.\(index)" + (isFirst ? ".fn.1" : ""), channels: dim,
        normKey: "norm\(index)")
    }
  }

  public var keysBeyondLevels: [String] { ["heads", Self.headKey] }
}
