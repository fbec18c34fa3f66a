extension GatedMLP {
  static let entries = entries(
    family: "gMLP", paper: "arXiv 2105.08050", preprocessing: Preprocessing(imageSize: 224),
    [
      Variant(
        "gmlp_ti16_224", .tiny16, parameters: 5_867_328, multiplyAdds: 1_328_989_184, top1: 72.3),
      Variant(
        "gmlp_s16_224", .small16, parameters: 19_422_656, multiplyAdds: 4_392_060_928, top1: 79.6),
      Variant(
        "gmlp_b16_224", .base16, parameters: 73_075_392, multiplyAdds: 15_720_452_096, top1: 81.6),
    ])
}
