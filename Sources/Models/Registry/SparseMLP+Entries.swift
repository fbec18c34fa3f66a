extension SparseMLP {
  static let entries = entries(
    family: "Sparse-MLP", paper: "arXiv 2109.02008", preprocessing: .imageNet(cropFraction: 0.875),
    [
      Variant(
        "sparse_mlp_s_224", .small, parameters: 22_915_608, multiplyAdds: 5_477_322_752, top1: 71.3),
      Variant(
        "sparse_mlp_b_224", .base, parameters: 70_745_768, multiplyAdds: 13_535_041_536, top1: 77.9),
      Variant(
        "sparse_mlp_l_224", .large, parameters: 131_205_456, multiplyAdds: 17_489_713_152,
        top1: 79.2),
    ])
}
