import Foundation
import Layers
import Models
import TestSupport
import Testing
import Torch

/// What a reference implementation of a language model computed with weights filled by ``Fill``.
struct LanguageFixture: Decodable {
  let salt: UInt64
  let inputIds: [[Int]]
  let attentionMask: [[Int]]?
  let tokenTypeIds: [[Int]]?
  let cotangentShape: [Int]
  let parameterCount: Int
  let parameters: [String: [Int]]
  let logits: [[[Double]]]
  let stages: [String: Fixture.Digest]?
  let gradients: [String: Fixture.Digest]
  let float64Difference: Fixture.Difference?

  static func load(_ name: String) throws -> LanguageFixture {
    let url = try #require(
      Bundle.module.url(forResource: name, withExtension: "json", subdirectory: "Fixtures"))
    return try JSONDecoder().decode(LanguageFixture.self, from: Data(contentsOf: url))
  }

  private static func ids(_ rows: [[Int]]) -> Tensor {
    Tensor(rows.flatMap { $0 }, shape: [rows.count, rows[0].count])
  }

  /// Checks names and shapes, logits to 1e-4 of the largest, stages, and gradients to 1e-3 of their
  /// norms.
  @TorchActor func check(_ model: some LanguageModel) throws {
    #expect(model.parameterCount == parameterCount)
    let shapes = model.namedParameters.map { ($0.name, $0.parameter.tensor.shape) }
    #expect(Dictionary(uniqueKeysWithValues: shapes) == parameters)
    let filled = model.state.map { ($0.name, Fill.parameter($0.name, $0.tensor.shape, salt: salt)) }
    try model.load(Dictionary(uniqueKeysWithValues: filled))

    let tokens = Self.ids(inputIds)
    let (mask, segments) = (attentionMask.map(Self.ids), tokenTypeIds.map(Self.ids))
    try model.check(tokens, mask: mask, segments: segments)
    let names = Array((stages ?? [:]).keys)
    let outputs = try model.intermediates(tokens, at: names, mask: mask, segments: segments)
    for (name, output) in zip(names, outputs) {
      stages?[name]?.check(
        output, probe: "stage:" + name, salt: salt, tolerance: 1e-4, "stage \(name)")
    }

    let found = model.logits(tokens, mask: mask, segments: segments)
    #expect(found.shape == cotangentShape)
    let expected = logits.flatMap { $0.flatMap { $0 } }
    let largest = expected.map(abs).max() ?? 0
    let values = found.array(of: Double.self)
    #expect(zip(values, expected).allSatisfy { abs($0 - $1) <= 1e-4 * largest })

    let all = model.namedParameters
    let cotangent = Fill.raw("cotangent", cotangentShape, salt: salt)
    let results = Torch.gradients(
      of: [found], cotangents: [cotangent], withRespectTo: all.map(\.parameter.tensor))
    let vanishing = Set(float64Difference?.vanishingGradients ?? [])
    for (item, gradient) in zip(all, results) {
      let (gradient, digest) = (try #require(gradient), try #require(gradients[item.name]))
      if vanishing.contains(item.name) {
        #expect(gradient.norm().item < 1e-3, "\(item.name)")
      } else {
        digest.check(gradient, probe: item.name, salt: salt, tolerance: 1e-3, "\(item.name)")
      }
    }
  }
}

/// Logits, stages and gradients of the language models are those of the references.
@Suite(.serialized) @TorchActor struct LanguageFixtureTests {
  @Test(arguments: [
    ("gmlp_mlm_test", 3, 0), ("gmlp_mlm_test_short", 2, 0), ("amlp_mlm_test", 3, 16),
  ])
  func gatedMLPEqualsReference(_ fixture: String, _ depth: Int, _ attention: Int) throws {
    var configuration = LanguageGatedMLPConfiguration(
      depth: depth, dim: 32, ffnDim: 96, attentionDim: attention)
    configuration.vocabulary = 97
    configuration.sequenceLength = 16
    let model = try LanguageGatedMLP(configuration, generator: nil)
    try LanguageFixture.load(fixture).check(model)
  }

  @Test(arguments: ["bert_mlm_test", "bert_mlm_test_nomask"])
  func bertEqualsReference(_ fixture: String) throws {
    var configuration = BERTConfiguration(depth: 2, dim: 32, heads: 2, ffnDim: 64)
    configuration.vocabulary = 97
    configuration.sequenceLength = 40
    let model = try BERT(configuration, generator: nil)
    try LanguageFixture.load(fixture).check(model)
  }
}

/// Parameter counts are those of the references and of the paper.
@Suite(.serialized) @TorchActor struct LanguageCountTests {
  struct GatedMLPCounts: Decodable {
    struct Count: Decodable {
      let depth: Int
      let dim: Int
      let ffn: Int
      let attention: Int
      let sequence: Int
      let total: Int
      let paperMillions: Double
    }
    let counts: [String: Count]
  }

  private func decoded<Value: Decodable>(_ name: String) throws -> Value {
    let url = try #require(
      Bundle.module.url(forResource: name, withExtension: "json", subdirectory: "Fixtures"))
    return try JSONDecoder().decode(Value.self, from: Data(contentsOf: url))
  }

  private func count(_ name: String, _ settings: [String: String] = [:]) throws -> Int {
    try withoutMemory {
      try ModelRegistry.entry(name).languageModel(settings: settings, generator: nil)
        .parameterCount
    }
  }

  @Test func gatedMLPsAreThoseOfTable5AndTable4() throws {
    let counts: GatedMLPCounts = try decoded("gmlp_mlm_counts")
    #expect(counts.counts.count == 9)
    for (name, wanted) in counts.counts {
      // "gMLP_base"; the ablations of table 4 are settings of it.
      let registered = name.hasPrefix("ablation") ? "gmlp_base" : name.lowercased()
      let settings =
        name.hasPrefix("ablation")
        ? ["depth": "\(wanted.depth)", "sequence_length": "\(wanted.sequence)"] : [:]
      let found = try count(registered, settings)
      #expect(found == wanted.total, "\(name)")
      #expect((Double(found) / 1e6).rounded() == wanted.paperMillions, "\(name)")
    }
  }

  /// 92 million parameters in table 3: with the inner width 2048, not the caption's 3072.
  @Test(arguments: ["linear", "additive", "multiplicative"])
  func spatialFunctionsOfTable3(_ function: String) throws {
    let found = try count(
      "gmlp_base",
      [
        "spatial_function": function, "ffn_dim": "2048", "depth": "36", "sequence_length": "128",
      ])
    #expect((Double(found) / 1e6).rounded() == 92)
  }

  @Test func bertsAreTheReferences() throws {
    struct Counts: Decodable {
      let counts: [String: [String: Int]]
    }
    let counts: Counts = try decoded("bert_counts")
    for (name, wanted) in counts.counts {
      let registered = String(name.prefix { $0 != "v" }).hasPrefix("bert_large")
      let vocabulary = try #require(wanted["vocab"])
      let model = registered ? "bert_large" : "bert_base"
      let settings = ["vocabulary": "\(vocabulary)"]
      #expect(try count(model, settings) == wanted["BertForMaskedLM"], "\(name)")
      // Two classes: pooler and classifier.
      let width = registered ? 1024 : 768
      let classes = try count(model, settings.merging(["task": "classes"]) { $1 })
      #expect(classes - 2 * width - 2 == wanted["BertModel"], "\(name)")
      let span = try count(model, settings.merging(["task": "span"]) { $1 })
      #expect(span - 2 * width - 2 == wanted["BertModelWithoutPooler"], "\(name)")
    }
    // What gMLP's table 5 prints is the encoder, without pooler and head, at 32,000 tokens.
    #expect(counts.counts["bert_base_vocab32000"]?["BertModelWithoutPooler"] == 110_026_752)
    #expect(counts.counts["bert_large_vocab32000"]?["BertModelWithoutPooler"] == 335_605_760)
    // Table 3: without queries and keys, 96 million.
    let scoresOfPositions = try count(
      "bert_base",
      ["positions": "relative", "content_attention": "false", "vocabulary": "32000"])
    #expect((Double(scoresOfPositions) / 1e6).rounded() == 96)
  }
}
