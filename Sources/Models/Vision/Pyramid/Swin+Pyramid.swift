import Layers
import Torch

/// As in SwinTransformer/Swin-Transformer-Object-Detection and -Semantic-Segmentation.
extension Swin: HierarchicalModel {
  public var pyramidLevels: [PyramidLevel] {
    layers.indices.map { index in
      PyramidLevel(
        stage: "layers.\(index)", channels: configuration.dim << index, normKey: "norm\(index)")
    }
  }

  public static func levelNorm(channels: Int) -> (any Layer)? {
    LayerNorm(channels, epsilon: 1e-5)
  }

  public static func map(_ output: Tensor) -> Tensor { output.permuted([0, 3, 1, 2]) }
}
