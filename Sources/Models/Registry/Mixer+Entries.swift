extension Mixer {
  static let entries = entries(
    family: "MLP-Mixer", paper: "arXiv 2105.01601", preprocessing: Preprocessing(imageSize: 224),
    [
      Variant(
        "mixer_s32_224", .small32, parameters: 19_104_624, multiplyAdds: 1_002_426_368),
      Variant(
        "mixer_s16_224", .small16, parameters: 18_528_264, multiplyAdds: 3_776_958_464),
      Variant(
        "mixer_b32_224", .base32, parameters: 60_293_428, multiplyAdds: 3_237_722_112),
      Variant(
        "mixer_b16_224", .base16, parameters: 59_880_472, multiplyAdds: 12_601_767_936, top1: 76.44),
      Variant(
        "mixer_l32_224", .large32, parameters: 206_939_264, multiplyAdds: 11_253_293_056),
      Variant(
        "mixer_l16_224", .large16, parameters: 208_196_168, multiplyAdds: 44_547_678_208,
        top1: 71.76),
      Variant(
        "mixer_h14_224", .huge14, parameters: 432_350_952, multiplyAdds: 120_989_911_040),
    ])
}
