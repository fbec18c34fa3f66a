extension BERT {
  static let entries = entries(
    family: "BERT", paper: "arXiv 1810.04805",
    [
      Variant("bert_base", .base, parameters: 109_514_298, multiplyAdds: 50_168_747_520),
      Variant("bert_large", .large, parameters: 335_174_458, multiplyAdds: 169_991_063_552),
    ])
}
