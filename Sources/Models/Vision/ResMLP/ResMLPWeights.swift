// Layouts of published ResMLP weights, and what of them depends on the number of tokens.

import Torch

extension ResMLP {
  public static func tokenAxes(of key: String) -> [TokenAxis] {
    if key.hasPrefix("class_mlp.") {  // [1, 1 + S]: the class token comes first
      return key.hasSuffix("linear_tokens.weight") ? [.input(1, leading: 1)] : []
    }
    if key.hasSuffix("linear_tokens.weight") { return [.input(1), .output(0)] }  // [S, S]
    if key.hasSuffix("linear_tokens.bias") { return [.output(0)] }  // [S]
    return []
  }

  public static var foreignLayouts: [WeightLayout] { [meta] }

  /// The keys of facebookresearch/deit; affines are vectors [C].
  static let meta = WeightLayout(
    name: "meta",
    recognizes: { $0.contains("patch_embed.proj.weight") && $0.contains("blocks.0.gamma_1") },
    toOwn: { key, tensor in
      let isAffine = key.hasSuffix(".alpha") || key.hasSuffix(".beta")
      return (
        renamed(key, names), isAffine ? tensor.reshaped([1, 1, -1]) : tensor
      )
    },
    fromOwn: { key, tensor in
      let isAffine = key.hasSuffix(".alpha") || key.hasSuffix(".beta")
      return (
        renamed(key, names.map { ($1, $0) }), isAffine ? tensor.reshaped([-1]) : tensor
      )
    })

  /// One element of a key's path in Meta's layout and in ours.
  private static let names = [
    ("patch_embed", "stem"), ("attn", "linear_tokens"), ("mlp", "mlp_channels"),
    ("gamma_1", "ls1"), ("gamma_2", "ls2"),
  ]

  private static func renamed(_ key: String, _ names: [(String, String)]) -> String {
    key.split(separator: ".").map { part in
      names.first { $0.0 == part }?.1 ?? String(part)
    }.joined(separator: ".")
  }
}
