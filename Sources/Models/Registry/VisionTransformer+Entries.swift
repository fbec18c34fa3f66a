extension VisionTransformer {
  static let entries =
    entries(
      family: "ViT", paper: "arXiv 2010.11929",
      preprocessing: Preprocessing(imageSize: 224, cropFraction: 0.9),
      [
        Variant(
          "vit_tiny_patch16_224", .tiny16, parameters: 5_717_416, multiplyAdds: 1_074_851_328),
        Variant(
          "vit_small_patch16_224", .small16, parameters: 22_050_664, multiplyAdds: 4_241_218_560),
        Variant(
          "vit_base_patch16_224", .base16, parameters: 86_567_656, multiplyAdds: 16_848_500_736,
          top1: 79.67),
      ])
    + entries(
      family: "DeiT", paper: "arXiv 2012.12877", preprocessing: .imageNet(cropFraction: 0.9),
      [
        Variant(
          "deit_tiny_patch16_224", .tiny16, parameters: 5_717_416, multiplyAdds: 1_074_851_328,
          top1: 72.2),
        Variant(
          "deit_small_patch16_224", .small16, parameters: 22_050_664, multiplyAdds: 4_241_218_560,
          top1: 79.8),
        Variant(
          "deit_base_patch16_224", .base16, parameters: 86_567_656, multiplyAdds: 16_848_500_736,
          top1: 81.8),
      ])
}
