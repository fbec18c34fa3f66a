extension VisionPermutator {
  // The released evaluation commands crop 0.9 of the picture, but 0.875 for the large network.
  static let entries: [ModelEntry] = small + large

  private static let small: [ModelEntry] = entries(
    family: "Vision Permutator", paper: "arXiv 2106.12368",
    preprocessing: .imageNet(cropFraction: 0.9),
    [
      Variant(
        "vip_small_14_224", .small14, parameters: 29_892_904, multiplyAdds: 6_855_613_440,
        top1: 80.6),
      Variant(
        "vip_small_7_224", .small7, parameters: 25_114_984, multiplyAdds: 6_901_767_168, top1: 81.5),
      Variant(
        "vip_medium_7_224", .medium7, parameters: 55_272_488, multiplyAdds: 16_284_307_456,
        top1: 82.7),
    ])

  private static let large: [ModelEntry] = entries(
    family: "Vision Permutator", paper: "arXiv 2106.12368",
    preprocessing: .imageNet(cropFraction: 0.875),
    [
      Variant(
        "vip_large_7_224", .large7, parameters: 87_784_936, multiplyAdds: 24_340_320_256, top1: 83.2
      )
    ])
}
