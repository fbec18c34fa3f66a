// What of a vision transformer's weights depends on the number of tokens.

extension VisionTransformer {
  public static func tokenAxes(of key: String) -> [TokenAxis] {
    key == "pos_embed" ? [.output(1, leading: 1)] : []  // [1, 1 + S, C]
  }
}
