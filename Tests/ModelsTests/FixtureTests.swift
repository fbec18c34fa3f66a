import Layers
import Models
import TestSupport
import Testing
import Torch

/// Logits, features, stages and gradients of the models on patches are those of timm.
@Suite(.serialized) @TorchActor struct FixtureTests {
  nonisolated static let registered = [
    "mixer_s32_224", "mixer_s16_224", "mixer_b32_224", "mixer_b16_224", "mixer_l16_224",
    "gmlp_ti16_224", "gmlp_s16_224", "gmlp_b16_224",
    "resmlp_12_224", "resmlp_24_224", "resmlp_36_224", "resmlp_big_24_224",
  ]

  @Test(arguments: registered) func registeredModelEqualsReference(_ name: String) throws {
    try Fixture.load(name).check(ModelRegistry.entry(name).visionModel(generator: nil))
  }

  @Test func smallMixerEqualsReference() throws {
    let configuration = MixerConfiguration(depth: 2, dim: 32)
    try Fixture.load("mixer_test").check(Mixer(configuration.with(small), generator: nil))
  }

  @Test func smallGatedMLPEqualsReference() throws {
    let configuration = GatedMLPConfiguration(dim: 32).with { $0.depth = 2 }
    try Fixture.load("gmlp_test").check(GatedMLP(configuration.with(small), generator: nil))
  }

  @Test func smallResMLPEqualsReference() throws {
    let configuration = ResMLPConfiguration(depth: 2, layerScale: 1).with { $0.dim = 32 }
    try Fixture.load("resmlp_test").check(ResMLP(configuration.with(small), generator: nil))
  }

  private func small(_ configuration: inout some PatchConfiguration) {
    configuration.imageSize = 32
    configuration.patchSize = 8
    configuration.classes = 10
  }
}

/// What the small fixtures' configurations have in common.
protocol PatchConfiguration: VisionConfiguration {
  var patchSize: ImageSize { get set }
}

extension MixerConfiguration: PatchConfiguration {}
extension GatedMLPConfiguration: PatchConfiguration {}
extension ResMLPConfiguration: PatchConfiguration {}
