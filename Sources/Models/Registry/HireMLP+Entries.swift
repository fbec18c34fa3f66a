extension HireMLP {
  static let entries = entries(
    family: "Hire-MLP", paper: "arXiv 2108.13341", preprocessing: .imageNet(cropFraction: 0.9),
    [
      Variant(
        "hire_mlp_tiny_224", .tiny, parameters: 18_041_672, multiplyAdds: 2_144_002_048, top1: 79.7),
      Variant(
        "hire_mlp_small_224", .small, parameters: 33_113_848, multiplyAdds: 4_231_090_176,
        top1: 82.1),
      Variant(
        "hire_mlp_base_224", .base, parameters: 58_226_856, multiplyAdds: 8_110_620_672, top1: 83.2),
      Variant(
        "hire_mlp_large_224", .large, parameters: 95_723_944, multiplyAdds: 13_421_604_864,
        top1: 83.8),
    ])
}
