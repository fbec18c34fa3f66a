extension LanguageMixer {
  static let entries = entries(
    family: "MLP-Mixer (text)", paper: "arXiv 2105.08050",
    [Variant("mixer_base", .base, parameters: 140_393_216, multiplyAdds: 16_798_973_952)])
}
