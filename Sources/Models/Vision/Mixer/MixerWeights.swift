// Layouts of published Mixer weights, and what of them depends on the number of tokens.

import Torch

extension Mixer {
  public static func tokenAxes(of key: String) -> [TokenAxis] {
    if key.hasSuffix("mlp_tokens.fc1.weight") { return [.input(1)] }  // [D_S, S]
    if key.hasSuffix("mlp_tokens.fc2.weight") { return [.output(0)] }  // [S, D_S]
    if key.hasSuffix("mlp_tokens.fc2.bias") { return [.output(0)] }  // [S]
    return []
  }

  public static var foreignLayouts: [WeightLayout] { [google] }

  /// The .npz files of google-research/vision_transformer: kernels [in, out], convolutions HWIO.
  static let google = WeightLayout(
    name: "google",
    recognizes: { $0.contains("stem/kernel") && $0.contains("pre_head_layer_norm/scale") },
    toOwn: { (key, tensor) throws(MingleError) in
      guard let own = ownKey(of: key) else { return nil }
      guard key.hasSuffix("/kernel") else { return (own, tensor) }
      // From [in, out] to [out, in], from HWIO to OIHW.
      return (own, try permuted(tensor, key == "stem/kernel" ? [3, 2, 0, 1] : [1, 0], key))
    },
    fromOwn: { (key, tensor) throws(MingleError) in
      guard let google = googleKey(of: key) else { return nil }
      guard google.hasSuffix("/kernel") else { return (google, tensor) }
      return (google, try permuted(tensor, google == "stem/kernel" ? [2, 3, 1, 0] : [1, 0], key))
    })

  private static func permuted(
    _ kernel: Tensor, _ order: [Int], _ key: String
  ) throws(MingleError) -> Tensor {
    guard kernel.rank == order.count else {
      throw MingleError(
        .badData, "'\(key)' is no such kernel", expected: "\(order.count) dimensions",
        got: "\(kernel.rank), \(kernel)")
    }
    return kernel.permuted(order)
  }

  private static let modules = [
    ("LayerNorm_0", "norm1"), ("token_mixing/Dense_0", "mlp_tokens.fc1"),
    ("token_mixing/Dense_1", "mlp_tokens.fc2"), ("LayerNorm_1", "norm2"),
    ("channel_mixing/Dense_0", "mlp_channels.fc1"), ("channel_mixing/Dense_1", "mlp_channels.fc2"),
  ]

  private static func ownKey(of key: String) -> String? {
    let parts = key.split(separator: "/").map(String.init)
    guard let kind = ["kernel": "weight", "scale": "weight", "bias": "bias"][parts.last ?? ""]
    else { return nil }
    switch parts.dropLast().joined(separator: "/") {
    case "stem": return "stem.proj.\(kind)"
    case "pre_head_layer_norm": return "norm.\(kind)"
    case "head": return "head.\(kind)"
    case let path:
      guard let block = parts.first, block.hasPrefix("MixerBlock_"),
        let index = Int(block.dropFirst("MixerBlock_".count)),
        let module = modules.first(where: { path == "\(block)/\($0.0)" })
      else { return nil }
      return "blocks.\(index).\(module.1).\(kind)"
    }
  }

  private static func googleKey(of key: String) -> String? {
    let parts = key.split(separator: ".").map(String.init)
    guard let kind = parts.last, kind == "weight" || kind == "bias" else { return nil }
    let path = parts.dropLast().joined(separator: ".")
    func leaf(norm: Bool) -> String { kind == "bias" ? "bias" : norm ? "scale" : "kernel" }
    switch path {
    case "stem.proj": return "stem/\(leaf(norm: false))"
    case "norm": return "pre_head_layer_norm/\(leaf(norm: true))"
    case "head": return "head/\(leaf(norm: false))"
    default:
      guard parts.count > 3, parts[0] == "blocks", let index = Int(parts[1]),
        let module = modules.first(where: { path == "blocks.\(index).\($0.1)" })
      else { return nil }
      return "MixerBlock_\(index)/\(module.0)/\(leaf(norm: module.0.hasPrefix("LayerNorm")))"
    }
  }

  /// This model at `factor` times the image size, by the paper's scheme: the token-mixing MLP is
  /// `factor^2` times as wide, with a copy of the old one for each of the `factor x factor` parts.
  ///
  /// The paper orders tokens part by part; here tokens stay in row-major order and the columns of
  /// the weights are permuted instead, which is the same function.
  ///
  /// - Throws: `MingleError` if `factor` is less than 1.
  public func enlarged(by factor: Int) throws -> Mixer {
    try requireField("the integer multiple of the image size", factor, in: 1...64)
    let grid = try configuration.grid(patch: configuration.patchSize)
    let parts = factor * factor
    let larger = try Mixer(
      configuration.with {
        $0.imageSize = ImageSize(
          factor * configuration.imageSize.height, factor * configuration.imageSize.width)
        $0.tokenHidden *= parts
      }, generator: nil)
    // order[p] is the place, part by part, of the token at row-major position p.
    var order = [Int](repeating: 0, count: parts * grid.area)
    for row in 0..<factor * grid.height {
      for column in 0..<factor * grid.width {
        let part = row / grid.height * factor + column / grid.width
        let within = row % grid.height * grid.width + column % grid.width
        order[row * factor * grid.width + column] = part * grid.area + within
      }
    }
    let places = Tensor(order)
    var tensors: [String: Tensor] = [:]
    for (key, tensor) in state {
      if key.hasSuffix("mlp_tokens.fc1.weight") {
        tensors[key] = Tensor.blockDiagonal(Array(repeating: tensor, count: parts))
          .indexSelect(1, places)
      } else if key.hasSuffix("mlp_tokens.fc2.weight") {
        tensors[key] = Tensor.blockDiagonal(Array(repeating: tensor, count: parts))
          .indexSelect(0, places)
      } else if key.hasSuffix("mlp_tokens.fc1.bias") {
        tensors[key] = Tensor.concatenated(Array(repeating: tensor, count: parts))
      } else if key.hasSuffix("mlp_tokens.fc2.bias") {
        tensors[key] = Tensor.concatenated(Array(repeating: tensor, count: parts))
          .indexSelect(0, places)
      } else {
        tensors[key] = tensor
      }
    }
    try larger.load(tensors)
    return larger
  }
}
