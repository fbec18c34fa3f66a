extension RaftMLP {
  static let entries = entries(
    family: "RaftMLP", paper: "arXiv 2108.04384",
    preprocessing: .imageNet(cropFraction: 0.875, interpolation: .bilinear),
    [
      // The later versions' top-1 (76.1, 78.8, 79.4 are quoted elsewhere) could not be checked.
      Variant("raft_mlp_s_224", .small, parameters: 9_868_768, multiplyAdds: 2_087_030_784),
      Variant("raft_mlp_m_224", .medium, parameters: 21_413_632, multiplyAdds: 4_267_333_632),
      Variant("raft_mlp_l_224", .large, parameters: 36_184_672, multiplyAdds: 6_543_974_400),
      Variant(
        "raft_mlp_12_224", .plain12, parameters: 58_390_696, multiplyAdds: 12_023_740_416,
        top1: 78.0),
      Variant(
        "raft_mlp_36_224", .plain36, parameters: 43_532_296, multiplyAdds: 8_988_711_936, top1: 76.9
      ),
    ])
}
