// What of gMLP's weights depends on the number of tokens. Only timm publishes weights, in our layout.

extension GatedMLP {
  public static func tokenAxes(of key: String) -> [TokenAxis] {
    if key.hasSuffix("gate.proj.weight") { return [.input(1), .output(0)] }  // [S, S]
    if key.hasSuffix("gate.proj.bias") { return [.output(0)] }  // [S]
    return []
  }
}
