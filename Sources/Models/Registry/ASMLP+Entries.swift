extension ASMLP {
  static let entries = entries(
    family: "AS-MLP", paper: "arXiv 2107.08391", preprocessing: .imageNet(cropFraction: 0.875),
    [
      Variant(
        "as_mlp_mobile_224", .mobile, parameters: 9_597_480, multiplyAdds: 1_320_341_504,
        top1: 76.05),
      Variant(
        "as_mlp_tiny_224", .tiny, parameters: 28_282_696, multiplyAdds: 4_350_425_088, top1: 81.3),
      Variant(
        "as_mlp_small_224", .small, parameters: 49_594_696, multiplyAdds: 8_512_223_232,
        top1: 83.1),
      Variant(
        "as_mlp_base_224", .base, parameters: 87_752_808, multiplyAdds: 15_126_077_440,
        top1: 83.3),
    ])
}
