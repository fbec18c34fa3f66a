import Layers
import Torch

/// Every model that has a name.
public enum ModelRegistry {
  public static let entries: [ModelEntry] = mixers + gatedMLPs + resMLPs

  /// The model called `name`.
  ///
  /// - Throws: ``MingleError`` with the nearest names.
  public static func entry(_ name: String) throws -> ModelEntry {
    if let entry = entries.first(where: { $0.name == name }) { return entry }
    throw MingleError(
      .usage, "no model is called '\(name)'",
      next: nearest(to: name, among: entries.map(\.name)).map { "did you mean \($0)?" }
        ?? "'mingle models' lists them")
  }

  private static let mixers: [ModelEntry] = [
    mixer("mixer_s32_224", .small32, 19_104_624, 1_002_426_368),
    mixer("mixer_s16_224", .small16, 18_528_264, 3_776_958_464),
    mixer("mixer_b32_224", .base32, 60_293_428, 3_237_722_112),
    mixer("mixer_b16_224", .base16, 59_880_472, 12_601_767_936),
    mixer("mixer_l32_224", .large32, 206_939_264, 11_253_293_056),
    mixer("mixer_l16_224", .large16, 208_196_168, 44_547_678_208),
    mixer("mixer_h14_224", .huge14, 432_350_952, 120_989_911_040),
  ]

  private static let gatedMLPs: [ModelEntry] = [
    gatedMLP("gmlp_ti16_224", .tiny16, 5_867_328, 1_328_989_184),
    gatedMLP("gmlp_s16_224", .small16, 19_422_656, 4_392_060_928),
    gatedMLP("gmlp_b16_224", .base16, 73_075_392, 15_720_452_096),
  ]

  private static let resMLPs: [ModelEntry] = [
    resMLP("resmlp_12_224", .small12, 15_350_872, 3_009_739_776),
    resMLP("resmlp_24_224", .small24, 30_020_680, 5_961_292_800),
    resMLP("resmlp_36_224", .small36, 44_690_488, 8_912_845_824),
    resMLP("resmlp_big_24_16_224", .big24Patch16, 115_736_776, 23_020_713_984),
    resMLP("resmlp_big_24_224", .big24, 129_138_280, 100_230_739_968),
    resMLP("resmlp_12_class_mlp_224", .small12.withClassMLP, 17_719_396, 3_012_250_368),
    resMLP("resmlp_24_class_mlp_224", .small24.withClassMLP, 32_389_204, 5_963_803_392),
    resMLP("resmlp_36_class_mlp_224", .small36.withClassMLP, 47_059_012, 8_915_356_416),
  ]

  private static func mixer(
    _ name: String, _ configuration: MixerConfiguration, _ parameters: Int, _ multiplyAdds: Int
  ) -> ModelEntry {
    ModelEntry(
      name, Mixer.self, configuration, family: "MLP-Mixer", paper: "arXiv 2105.01601",
      preprocessing: Preprocessing(imageSize: 224), parameters: parameters,
      multiplyAdds: multiplyAdds)
  }

  private static func gatedMLP(
    _ name: String, _ configuration: GatedMLPConfiguration, _ parameters: Int, _ multiplyAdds: Int
  ) -> ModelEntry {
    ModelEntry(
      name, GatedMLP.self, configuration, family: "gMLP", paper: "arXiv 2105.08050",
      preprocessing: Preprocessing(imageSize: 224), parameters: parameters,
      multiplyAdds: multiplyAdds)
  }

  private static func resMLP(
    _ name: String, _ configuration: ResMLPConfiguration, _ parameters: Int, _ multiplyAdds: Int
  ) -> ModelEntry {
    ModelEntry(
      name, ResMLP.self, configuration, family: "ResMLP", paper: "arXiv 2105.03404",
      preprocessing: Preprocessing(
        imageSize: 224, cropFraction: 0.9, mean: [0.485, 0.456, 0.406],
        standardDeviation: [0.229, 0.224, 0.225]),
      parameters: parameters, multiplyAdds: multiplyAdds)
  }
}

extension ResMLPConfiguration {
  /// The paper's variant with two class-MLP layers in the place of mean pooling.
  fileprivate var withClassMLP: ResMLPConfiguration { with { $0.classMLPDepth = 2 } }
}
