/// The last map of each stride from 4 on, as timm gives it.
extension EfficientNet: HierarchicalModel {
  public var pyramidLevels: [PyramidLevel] {
    let blocks = configuration.blocks
    var stride = 2  // the first convolution's
    let ends = configuration.strides.enumerated().compactMap { index, step -> Int? in
      stride *= step
      let isEnd = index == blocks.count - 1 || configuration.strides[index + 1] > 1
      return isEnd && stride > 2 ? index : nil
    }
    return ends.enumerated().map { level, stage in
      PyramidLevel(
        stage: "blocks.\(stage)", channels: blocks[stage].last?.outputs ?? 0,
        normKey: "norm\(level)")
    }
  }

  public var keysBeyondLevels: [String] { ["conv_head", "bn2", Self.headKey] }
}
