import Layers
import Torch

/// A dimension of a weight that runs over the tokens of an image's grid.
public enum TokenAxis: Sendable, Hashable {
  /// The weight sums over the tokens along dimension `axis`, after `leading` entries that are none.
  case input(Int, leading: Int = 0)
  /// The weight has one entry for each token along dimension `axis`, after `leading` that are none.
  case output(Int, leading: Int = 0)

  var dimension: Int {
    switch self {
    case .input(let dimension, _), .output(let dimension, _): dimension
    }
  }

  /// How many entries along the dimension are no tokens; they come first.
  var leading: Int {
    switch self {
    case .input(_, let leading), .output(_, let leading): leading
    }
  }
}

/// How the weights of a fixed number of tokens are fitted to another image size.
public enum TokenResizing: String, Codable, Sendable, CaseIterable {
  /// Bicubic interpolation over the grid. Weights that sum over tokens are scaled by
  /// `S / S'`, so that a constant image gives the response it gave before.
  case interpolate
  /// `K^2` copies of the token-mixing MLP on the diagonal, each for one of the `K x K` parts of
  /// the image; for an integer `K` and Mixers alone (arXiv 2105.01601, on higher resolutions).
  case blockDiagonal = "block-diagonal"
}

extension VisionModel {
  /// How many tokens the weights were made for, if one of them tells a number that can be.
  static func tokenCount(in tensors: [String: Tensor]) -> Int? {
    for (key, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
      guard let axis = tokenAxes(of: key).first, tensor.rank > axis.dimension else { continue }
      let count = tensor.shape[axis.dimension] - axis.leading
      if count > 0 { return count }
    }
    return nil
  }

  /// `tensors`, which fit a model of this family on the grid `old`, fitted to the grid `new`.
  static func interpolatingTokens(
    _ tensors: [String: Tensor], from old: ImageSize, to new: ImageSize
  ) -> [String: Tensor] {
    var result = tensors
    for (key, tensor) in tensors {
      for axis in tokenAxes(of: key) {
        result[key] = resized(result[key] ?? tensor, along: axis, from: old, to: new)
      }
    }
    return result
  }
}

private func resized(
  _ weight: Tensor, along axis: TokenAxis, from old: ImageSize, to new: ImageSize
) -> Tensor {
  let (dimension, leading) = (axis.dimension, axis.leading)
  let scale = if case .input = axis { Double(old.area) / Double(new.area) } else { 1.0 }
  let rows = weight.to(.float32).transposed(dimension, -1)  // [..., tokens]
  let tokens = rows.narrowed(-1, leading..<(leading + old.area)).contiguous()
  let maps = tokens.reshaped([1, -1, old.height, old.width])
  let interpolated = maps.resized(height: new.height, width: new.width, bicubic: true) * scale
  var shape = tokens.shape
  shape[shape.count - 1] = new.area
  let parts = [rows.narrowed(-1, 0..<leading), interpolated.reshaped(shape)]
  return Tensor.concatenated(parts, dimension: -1)
    .transposed(dimension, -1).contiguous().to(weight.dtype)
}

extension ImageSize {
  /// Height times width.
  var area: Int { height * width }
}
