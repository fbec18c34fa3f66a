extension ResNet {
  /// The accuracies are those of the authors' released weights with a single crop; the paper prints
  /// ten crops' (77.15 and 78.57).
  static let entries = entries(
    family: "ResNet", paper: "arXiv 1512.03385", preprocessing: .imageNet(cropFraction: 0.95),
    [
      Variant("resnet18", .layers18, parameters: 11_689_512, multiplyAdds: 1_814_073_344),
      Variant(
        "resnet50", .layers50, parameters: 25_557_032, multiplyAdds: 4_089_184_256, top1: 75.3),
      Variant(
        "resnet152", .layers152, parameters: 60_192_808, multiplyAdds: 11_513_626_624, top1: 77.0),
    ])
}
