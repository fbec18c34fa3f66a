import Foundation
import Mingle
import TestSupport
import Testing

/// `mingle forward` for models that read text computes what the references computed for the fixtures.
@Suite(.serialized) @TorchActor struct TextForwardTests {
  struct Fixture: Decodable {
    struct Digest: Decodable {
      let l2: Double
      let first: [Double]
    }
    let inputIds: [[Int]]
    let attentionMask: [[Int]]?
    let tokenTypeIds: [[Int]]?
    let cotangentShape: [Int]
    let parameters: [String: [Int]]
    let logits: [[[Double]]]
    let gradients: [String: Digest]

    init(_ name: String) throws {
      let file = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../ModelsTests/Fixtures/\(name).json")
      self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: file))
    }

    var weights: [String: Tensor] {
      let filled = parameters.map { ($0, Fill.parameter($0, $1)) }
      return Dictionary(uniqueKeysWithValues: filled)
    }

    var inputs: [String: Tensor] {
      func ids(_ rows: [[Int]]) -> Tensor {
        Tensor(rows.flatMap { $0 }, shape: [rows.count, rows[0].count])
      }
      var inputs = ["input": ids(inputIds), "cotangent": Fill.raw("cotangent", cotangentShape)]
      inputs["mask"] = attentionMask.map(ids)
      inputs["segments"] = tokenTypeIds.map(ids)
      return inputs
    }
  }

  nonisolated static let gated = ["dim=32", "ffn_dim=96"]
  nonisolated static let bert = ["dim=32", "ffn_dim=64", "heads=2", "depth=2"]

  @Test(arguments: [
    ("gmlp_base", "gmlp_mlm_test_short", gated + ["depth=2"]),
    ("amlp_base", "amlp_mlm_test", gated + ["depth=3", "attention_dim=16"]),
    ("bert_base", "bert_mlm_test", bert),
  ])
  func equalsReference(_ model: String, _ name: String, _ settings: [String]) throws {
    let fixture = try Fixture(name)
    let folder = try TemporaryFolder()
    try Safetensors.write(fixture.weights, to: folder("weights.safetensors"))
    try Safetensors.write(fixture.inputs, to: folder("input.safetensors"))
    let outcome = try Tool.run(
      ["forward", model, "--weights", "weights.safetensors", "--input", "input.safetensors"]
        + ["--output", "output.safetensors", "--features", "--gradients", "--set"] + settings,
      in: folder.path)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let results = try openTensorArchive(at: folder("output.safetensors")).tensors()
    let gradientNames = fixture.parameters.keys.map { "grad.\($0)" }
    #expect(Set(results.keys) == Set(["logits", "features"] + gradientNames))

    let logits = try #require(results["logits"])
    let expected = fixture.logits.flatMap { $0.flatMap { $0 } }
    let largest = expected.map(abs).max() ?? 0
    #expect(logits.shape == fixture.cotangentShape)
    for (value, wanted) in zip(logits.array(of: Double.self), expected) {
      #expect(abs(value - wanted) <= 1e-4 * largest)
    }
    let scale = fixture.gradients.values.map(\.l2).max() ?? 0
    for (key, digest) in fixture.gradients {
      let gradient = try #require(results["grad.\(key)"])
      let tolerance = 1e-3 * max(digest.l2, 1e-3 * scale)  // some vanish in exact arithmetic
      #expect(abs(gradient.norm().item - digest.l2) <= tolerance, "\(key)")
      for (value, wanted) in zip(gradient.array(of: Double.self), digest.first) {
        #expect(abs(value - wanted) <= tolerance, "\(key)")
      }
    }
  }

  @Test func wrongInputsAreErrors() throws {
    let fixture = try Fixture("gmlp_mlm_test_short")
    let folder = try TemporaryFolder()
    try Safetensors.write(fixture.weights, to: folder("weights.safetensors"))
    func expectError(_ inputs: [String: Tensor], _ part: String) throws {
      try Safetensors.write(inputs, to: folder("input.safetensors"))
      let outcome = try Tool.run(
        ["forward", "gmlp_base", "--weights", "weights.safetensors", "--input"]
          + ["input.safetensors", "--output", "output.safetensors"]
          + ["--set", "dim=32", "ffn_dim=96", "depth=2"], in: folder.path)
      #expect(outcome.status == 65)
      #expect(outcome.errors.contains(part), "\(outcome.errors)")
      #expect(!FileManager.default.fileExists(atPath: folder("output.safetensors")))
    }
    func ids(_ value: Double, _ shape: [Int] = [2, 4]) -> Tensor {
      .full(shape, value, dtype: .int64)
    }
    try expectError(["input": ids(97)], "expected 0 to 96, got 97")
    try expectError(["input": ids(1, [2, 17])], "at most 16, got 17 tokens")
    try expectError(["input": .zeros([2, 4])], "expected int64, got float32")
    try expectError(["input": ids(1), "mask": ids(1, [2, 5])], "mask must have one number")
    try expectError(["other": ids(1)], "no tensor 'input'")
  }

  @Test func layersAddUp() throws {
    for name in ["gmlp_base", "amlp_base", "bert_base", "mixer_base"] {
      let text = try Tool.run(["info", name, "--set", "depth=2", "--json"]).output
      let info = try #require(
        try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
      let layers = try #require(info["layers"] as? [[String: Any]])
      for key in ["parameters", "multiply_adds"] {
        let sum = layers.reduce(0) { $0 + ($1[key] as? Int ?? 0) }
        #expect(sum > 0 && sum == info[key] as? Int, "\(name) \(key)")
      }
    }
  }
}
