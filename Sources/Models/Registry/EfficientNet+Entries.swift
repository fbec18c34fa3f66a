extension EfficientNet {
  static let entries = entries(
    family: "EfficientNet", paper: "arXiv 1905.11946",
    preprocessing: .imageNet(cropFraction: 0.875),
    [
      Variant("efficientnet_b0", .b0, parameters: 5_288_548, multiplyAdds: 385_814_752, top1: 77.1),
      // The paper's accuracy is at 300 pixels.
      Variant(
        "efficientnet_b3", .b3, parameters: 12_233_232, multiplyAdds: 1_589_198_096, top1: 81.6),
    ])
}
