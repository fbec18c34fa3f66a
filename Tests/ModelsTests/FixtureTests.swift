import Layers
import Models
import TestSupport
import Testing
import Torch

/// Logits, features, stages and gradients are those of timm.
@Suite(.serialized) @TorchActor struct FixtureTests {
  nonisolated static let registered = [
    "mixer_s32_224", "mixer_s16_224", "mixer_b32_224", "mixer_b16_224", "mixer_l16_224",
    "gmlp_ti16_224", "gmlp_s16_224", "gmlp_b16_224",
    "resmlp_12_224", "resmlp_24_224", "resmlp_36_224", "resmlp_big_24_224",
  ]

  @Test(arguments: registered) func registeredModelEqualsReference(_ name: String) throws {
    try check(ModelRegistry.entry(name).model(generator: nil), Fixture.load(name))
  }

  @Test func smallMixerEqualsReference() throws {
    let configuration = MixerConfiguration(depth: 2, dim: 32)
    try check(Mixer(configuration.with(small), generator: nil), Fixture.load("mixer_test"))
  }

  @Test func smallGatedMLPEqualsReference() throws {
    let configuration = GatedMLPConfiguration(dim: 32).with { $0.depth = 2 }
    try check(GatedMLP(configuration.with(small), generator: nil), Fixture.load("gmlp_test"))
  }

  @Test func smallResMLPEqualsReference() throws {
    let configuration = ResMLPConfiguration(depth: 2, layerScale: 1).with { $0.dim = 32 }
    try check(ResMLP(configuration.with(small), generator: nil), Fixture.load("resmlp_test"))
  }

  private func small(_ configuration: inout some PatchConfiguration) {
    configuration.imageSize = 32
    configuration.patchSize = 8
    configuration.classes = 10
  }

  private func check(_ model: some VisionModel, _ fixture: Fixture) throws {
    #expect(model.parameterCount == fixture.parameterCount)
    let shapes = model.namedParameters.map { ($0.name, $0.parameter.tensor.shape) }
    #expect(Dictionary(uniqueKeysWithValues: shapes) == fixture.parameters)
    try fixture.fill(model)

    let input = Fill.raw("input", fixture.inputShape, salt: fixture.salt)
    input.setRequiresGradient(true)
    let features = model.features(input)
    let logits = model.head(features)
    let expected = fixture.logits.flatMap { $0 }
    let largest = expected.map(abs).max() ?? 0
    let found = logits.array(of: Float.self)
    #expect(found.count == expected.count)
    #expect(zip(found, expected).allSatisfy { abs(Double($0) - $1) <= 1e-4 * largest })
    for (row, values) in (fixture.features ?? []).enumerated() {
      let found = features.select(0, row).array(of: Float.self)
      #expect(zip(found, values).allSatisfy { abs(Double($0) - $1) <= 1e-4 * (1 + abs($1)) })
    }

    let stages = fixture.stages ?? [:]
    let outputs = try model.intermediates(input, at: Array(stages.keys))
    for ((name, digest), output) in zip(stages, outputs) {
      #expect(output.shape == digest.shape)
      fixture.check(output, digest, probe: "stage:" + name, tolerance: 1e-4, "stage \(name)")
    }

    guard let wanted = fixture.gradients else { return }
    let cotangent = Fill.raw("cotangent", fixture.cotangentShape, salt: fixture.salt)
    let parameters = model.namedParameters
    let all = gradients(
      of: [logits], cotangents: [cotangent],
      withRespectTo: parameters.map(\.parameter.tensor) + [input])
    let vanishing = Set(fixture.float64Difference?.vanishingGradients ?? [])
    for (item, gradient) in zip(parameters, all) {
      guard let digest = wanted[item.name] else { continue }
      let gradient = try #require(gradient)
      if vanishing.contains(item.name) {
        #expect(gradient.norm().item < 1e-3, "\(item.name)")
      } else {
        fixture.check(gradient, digest, probe: item.name, tolerance: 1e-3, "\(item.name)")
      }
    }
    let inputGradient = try #require(all.last ?? nil)
    let digest = try #require(fixture.inputGradient)
    fixture.check(inputGradient, digest, probe: "input", tolerance: 1e-3, "input gradient")
  }
}

/// What the small fixtures' configurations have in common.
protocol PatchConfiguration: VisionConfiguration {
  var patchSize: ImageSize { get set }
}

extension MixerConfiguration: PatchConfiguration {}
extension GatedMLPConfiguration: PatchConfiguration {}
extension ResMLPConfiguration: PatchConfiguration {}
