import Torch

/// Cuts an image into patches and projects each to a vector: [B, I, H, W] -> [B, S, C] with
/// `S = (H / pH) (W / pW)` tokens in row-major order. A convolution whose stride is its kernel.
public final class PatchEmbedding: Module {
  let proj: Convolution

  /// - Parameter patch: height and width in pixels.
  public init(
    inputChannels: Int, dimension: Int, patch: (Int, Int), weight: Initializer = .lecunNormal,
    bias: Initializer = .zeros, generator: Generator?
  ) {
    proj = Convolution(
      inputChannels, dimension, kernel: patch, stride: patch, weight: weight, bias: bias,
      generator: generator)
  }

  public func callAsFunction(_ images: Tensor) -> Tensor {
    proj(images).flattened(from: 2).transposed(1, 2)
  }
}
