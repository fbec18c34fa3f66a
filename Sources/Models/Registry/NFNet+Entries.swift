extension NFNet {
  static let entries = entries(
    family: "NFNet", paper: "arXiv 2102.06171", preprocessing: .imageNet(cropFraction: 0.9),
    [
      // Trained with 192 pixels; the accuracy and the paper's 12.38 billion are at 256.
      Variant("dm_nfnet_f0", .f0, parameters: 71_489_284, multiplyAdds: 6_977_003_520, top1: 83.6)
    ])
}
