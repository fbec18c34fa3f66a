extension ResMLP {
  static let entries = entries(
    family: "ResMLP", paper: "arXiv 2105.03404", preprocessing: .imageNet(cropFraction: 0.9),
    [
      Variant(
        "resmlp_12_224", .small12, parameters: 15_350_872, multiplyAdds: 3_009_739_776, top1: 76.6),
      Variant(
        "resmlp_24_224", .small24, parameters: 30_020_680, multiplyAdds: 5_961_292_800, top1: 79.4),
      Variant(
        "resmlp_36_224", .small36, parameters: 44_690_488, multiplyAdds: 8_912_845_824, top1: 79.7),
      Variant(
        "resmlp_big_24_16_224", .big24Patch16, parameters: 115_736_776,
        multiplyAdds: 23_020_713_984, top1: 81.0),
      Variant(
        "resmlp_big_24_224", .big24, parameters: 129_138_280, multiplyAdds: 100_230_739_968,
        top1: 81.0),
      Variant(
        "resmlp_12_class_mlp_224", .small12.withClassMLP, parameters: 17_719_396,
        multiplyAdds: 3_012_250_368, top1: 77.5),
      Variant(
        "resmlp_24_class_mlp_224", .small24.withClassMLP, parameters: 32_389_204,
        multiplyAdds: 5_963_803_392, top1: 79.8),
      Variant(
        "resmlp_36_class_mlp_224", .small36.withClassMLP, parameters: 47_059_012,
        multiplyAdds: 8_915_356_416, top1: 80.5),
    ])
}

extension ResMLPConfiguration {
  /// The paper's variant with two class-MLP layers in the place of mean pooling.
  fileprivate var withClassMLP: ResMLPConfiguration { with { $0.classMLPDepth = 2 } }
}
