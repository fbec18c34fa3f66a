import Foundation
import Mingle
import TestSupport
import Testing

/// `mingle forward` computes what timm computed for the fixtures.
@Suite(.serialized) @TorchActor struct ForwardTests {
  struct Fixture: Decodable {
    struct Digest: Decodable {
      let l2: Double
      let first: [Double]
    }
    let inputShape: [Int]
    let cotangentShape: [Int]
    let parameters: [String: [Int]]
    let logits: [[Double]]
    let features: [[Double]]
    let gradients: [String: Digest]
    let inputGradient: Digest

    init(_ name: String) throws {
      let file = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../ModelsTests/Fixtures/\(name).json")
      self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: file))
    }
  }

  @Test(arguments: [
    ("mixer_s16_224", "mixer_test"), ("gmlp_s16_224", "gmlp_test"),
    ("resmlp_12_224", "resmlp_test"),
  ])
  func equalsReference(_ model: String, _ name: String) throws {
    let fixture = try Fixture(name)
    let folder = try TemporaryFolder()
    let weights = fixture.parameters.map { ($0, Fill.parameter($0, $1)) }
    try Safetensors.write(
      Dictionary(uniqueKeysWithValues: weights), to: folder("weights.safetensors"))
    try Safetensors.write(
      [
        "input": Fill.raw("input", fixture.inputShape),
        "cotangent": Fill.raw("cotangent", fixture.cotangentShape),
      ], to: folder("input.safetensors"))

    let outcome = try Tool.run(
      ["forward", model, "--weights", "weights.safetensors", "--input", "input.safetensors"]
        + ["--output", "output.safetensors", "--features", "--gradients"] + Samples.settings,
      in: folder.path)
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.output.isEmpty && outcome.errors.isEmpty)
    let results = try openTensorArchive(at: folder("output.safetensors")).tensors()
    let gradientNames = fixture.parameters.keys.map { "grad.\($0)" }
    #expect(Set(results.keys) == Set(["logits", "features", "grad.input"] + gradientNames))

    let logits = try #require(results["logits"])
    let expected = fixture.logits.flatMap { $0 }
    let largest = expected.map(abs).max() ?? 0
    #expect(logits.shape == fixture.cotangentShape)
    for (value, wanted) in zip(logits.array(of: Double.self), expected) {
      #expect(abs(value - wanted) <= 1e-4 * largest)
    }
    let features = try #require(results["features"])
    for (row, values) in fixture.features.enumerated() {
      let found = features.select(0, row).array(of: Double.self)
      for (value, wanted) in zip(found, values) {
        #expect(abs(value - wanted) <= 1e-4 * (1 + abs(wanted)))
      }
    }
    var digests = fixture.gradients.map { ("grad.\($0)", $1) }
    digests.append(("grad.input", fixture.inputGradient))
    let scale = digests.map(\.1.l2).max() ?? 0
    for (key, digest) in digests {
      let gradient = try #require(results[key])
      let tolerance = 1e-3 * max(digest.l2, 1e-3 * scale)  // some vanish in exact arithmetic
      #expect(abs(gradient.norm().item - digest.l2) <= tolerance, "\(key)")
      for (value, wanted) in zip(gradient.array(of: Double.self), digest.first) {
        #expect(abs(value - wanted) <= tolerance, "\(key)")
      }
    }
  }

  @Test func settingsMayFollowEachOther() async throws {
    let folder = try await Samples.shared.value.folder
    let own = try TemporaryFolder()
    func logits(_ settings: [String], _ extra: [String] = []) throws -> [Float] {
      let output = own("logits.safetensors")
      let outcome = try Tool.run(
        ["forward", "mixer_s16_224", "--weights", "plain.safetensors", "--input"]
          + ["input.safetensors", "--output", output] + settings + extra, in: folder.path)
      #expect(outcome.status == 0, "\(outcome.errors)")
      return try Safetensors(at: output).tensor(named: "logits").array(of: Float.self)
    }
    let plain = try logits(Samples.settings)
    let grouped = try logits(
      ["--image-size", "32", "--set", "patch_size=8", "depth=2", "dim=32", "--classes", "10"])
    #expect(grouped == plain)
    let half = try logits(Samples.settings, ["--precision", "bf16"])
    let largest = plain.map(abs).max() ?? 0
    #expect(half != plain)
    #expect(zip(half, plain).allSatisfy { abs($0 - $1) < 0.05 * largest })
  }
}
