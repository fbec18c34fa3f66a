// What of a Sparse-MLP's weights depends on the number of tokens. The experts see S' tokens, which
// is a setting of its own; without re-represent layers their weights fit one image size alone.

extension SparseMLP {
  public static func tokenAxes(of key: String) -> [TokenAxis] {
    if key.hasSuffix("represent1.tokens.weight") { return [.input(1)] }  // [S', S]
    if key.hasSuffix("represent2.tokens.weight") { return [.output(0)] }  // [S, S']
    if key.hasSuffix("represent2.tokens.bias") { return [.output(0)] }  // [S]
    return Mixer.tokenAxes(of: key)
  }
}
