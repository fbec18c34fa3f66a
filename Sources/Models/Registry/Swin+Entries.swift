extension Swin {
  static let entries = entries(
    family: "Swin", paper: "arXiv 2103.14030", preprocessing: .imageNet(cropFraction: 0.9),
    [
      Variant(
        "swin_tiny_patch4_window7_224", .tiny, parameters: 28_288_354, multiplyAdds: 4_350_425_088,
        top1: 81.3),
      Variant(
        "swin_small_patch4_window7_224", .small, parameters: 49_606_258,
        multiplyAdds: 8_512_223_232,
        top1: 83.0),
      Variant(
        "swin_base_patch4_window7_224", .base, parameters: 87_768_224, multiplyAdds: 15_126_077_440,
        top1: 83.5),
    ])
}
