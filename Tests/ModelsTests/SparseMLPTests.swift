import Foundation
import Layers
import Models
import TestSupport
import Testing
import Torch

/// Sparse-MLP and its experts.
@Suite(.serialized) @TorchActor struct SparseMLPTests {
  /// The balance losses of a fixture.
  private struct Auxiliary: Decodable {
    struct Layer: Decodable {
      let importance: [Double], load: [Double]
      let importanceLoss: Double, loadLoss: Double
      let selectedCounts: [Int]
    }

    let auxLoss: Double
    let auxLayers: [String: Layer]
    let auxGradients: [String: Fixture.Digest]

    static func load(_ name: String) throws -> Auxiliary {
      let url = try #require(
        Bundle.module.url(forResource: name, withExtension: "json", subdirectory: "Fixtures"))
      return try JSONDecoder().decode(Auxiliary.self, from: Data(contentsOf: url))
    }
  }

  nonisolated static let fixtures = ["sparse_mlp_s_test", "sparse_mlp_b_test"]

  private func model(of fixture: String) throws -> SparseMLP {
    let isBase = fixture.contains("_b_")
    let configuration = SparseMLPConfiguration(
      depth: 2, sparseDepth: 2, dim: 24, sparseDim: isBase ? 12 : 24,
      tokenExperts: isBase ? 8 : 4, channelExperts: isBase ? 4 : 0, expertTokensHidden: 20,
      expertChannelsHidden: 40)
    return try SparseMLP(
      configuration.with {
        $0.imageSize = 16
        $0.patchSize = 4
        $0.channelMLPRatio = 2
        $0.sparseTokens = 32
        $0.classes = 10
      }, generator: nil)
  }

  @Test(arguments: fixtures) func equalsReference(_ name: String) throws {
    try Fixture.load(name).check(model(of: name))
  }

  @Test(arguments: fixtures) func balanceLossesAreTheReference(_ name: String) throws {
    let (fixture, wanted) = (try Fixture.load(name), try Auxiliary.load(name))
    let model = try model(of: name)
    try fixture.fill(model)
    let watch = RoutingWatch(model)
    #expect(Set(watch.names) == Set(wanted.auxLayers.keys))
    let images = Fill.raw("input", fixture.inputShape, salt: fixture.salt)
    let (_, routing) = watch.record { model.logits(images) }
    for (layer, balance) in routing.entries {
      let expected = try #require(wanted.auxLayers[layer])
      #expect(balance.chosenCounts == expected.selectedCounts)
      #expect(isClose(balance.importance, expected.importance), "\(layer)")
      #expect(isClose(balance.load, expected.load), "\(layer)")
      #expect(isClose(balance.importanceLoss, [expected.importanceLoss]), "\(layer)")
      #expect(isClose(balance.loadLoss, [expected.loadLoss]), "\(layer)")
    }
    let loss = try #require(routing.loss)
    #expect(isClose(loss, [wanted.auxLoss]))

    let parameters = model.namedParameters
    let found = gradients(of: [loss], withRespectTo: parameters.map(\.parameter.tensor))
    for (item, gradient) in zip(parameters, found) {
      guard let digest = wanted.auxGradients[item.name] else { continue }
      let gradient = try #require(gradient, "\(item.name)")
      if item.name.hasSuffix("mlp_tokens.fc2.bias") {  // removed by the next norm
        #expect(gradient.norm().item < 1e-5)
      } else {
        fixture.check(gradient, digest, probe: item.name, tolerance: 1e-3, "\(item.name)")
      }
    }
  }

  private func isClose(_ tensor: Tensor, _ expected: [Double]) -> Bool {
    let values = tensor.array(of: Double.self)
    return values.count == expected.count
      && zip(values, expected).allSatisfy { abs($0 - $1) <= 2e-4 * max(1e-3, abs($1)) }
  }

  // MARK: - Experts

  private func experts(_ count: Int, topK: Int, noise: Double = 1) -> MixtureOfExperts {
    MixtureOfExperts(
      6, hidden: 5, experts: count, topK: topK, noise: noise, generator: Generator(seed: 1))
  }

  /// The same by masks: every expert computes every item.
  private func masked(_ layer: MixtureOfExperts, _ x: Tensor) -> Tensor {
    let weights = Dictionary(
      uniqueKeysWithValues: layer.namedParameters.map { ($0.name, $0.parameter.tensor) })
    func weight(_ name: String) -> Tensor { weights[name] ?? .zeros([]) }
    let gates = x.linear(weight("router.weight")).softmax()  // [M, N]
    let (best, _) = gates.topK(layer.topK)
    let threshold = best.narrowed(1, (layer.topK - 1)..<layer.topK).detached()
    let kept = gates * (1 - (threshold - gates).greater(0).to(.float32))
    return (0..<gates.shape[1]).map { index in
      let name = "experts.\(index)."
      let hidden = x.linear(weight(name + "fc1.weight"), weight(name + "fc1.bias")).gelu()
      return hidden.linear(weight(name + "fc2.weight"), weight(name + "fc2.bias"))
        * kept.narrowed(1, index..<(index + 1))
    }.reduce(.zeros(x.shape)) { $0 + $1 }
  }

  @Test(arguments: [(1, 1), (5, 1), (5, 2), (40, 1), (40, 3), (4, 4)])
  func onlyChosenExpertsComputeWithTheSameResult(_ count: Int, _ topK: Int) throws {
    let layer = experts(count, topK: topK)
    let x = Tensor.normal([30, 6], generator: Generator(seed: 2))
    x.setRequiresGradient(true)
    let cotangent = Tensor.normal([30, 6], generator: Generator(seed: 3))
    let inputs = layer.namedParameters.map(\.parameter.tensor) + [x]
    let (y, wanted) = (layer(x), masked(layer, x))
    #expect((y - wanted).abs().max().item < 1e-5)
    let found = gradients(of: [y], cotangents: [cotangent], withRespectTo: inputs)
    let right = gradients(of: [wanted], cotangents: [cotangent], withRespectTo: inputs)
    for (index, gradient) in right.enumerated() {
      let gradient = try #require(gradient)
      let error = found[index].map { ($0 - gradient).abs().max() } ?? gradient.abs().max()
      #expect(error.item < 2e-5)
    }
  }

  @Test func costGrowsWithTheChoicesNotWithTheExperts() throws {
    func cost(_ experts: String, _ topK: String) throws -> Int {
      try ModelRegistry.entry("sparse_mlp_b_224").visionModel(
        settings: [
          "image_size": "32", "depth": "1", "dim": "16", "sparse_tokens": "8", "sparse_dim": "8",
          "channel_experts": experts, "channel_top_k": topK, "expert_channels_hidden": "64",
        ], generator: Generator(seed: 0)
      ).multiplyAdds
    }
    let (few, many, twice) = (try cost("4", "1"), try cost("64", "1"), try cost("4", "2"))
    // Two layers, 8 tokens each: the router's 8 numbers for an expert, an expert's 2 x 8 x 64.
    #expect(many - few == 2 * 8 * 60 * 8)
    #expect(twice - few == 2 * 8 * 2 * 8 * 64)
  }

  @Test func noiseActsInTrainingAloneAndComesFromTheModesGenerator() {
    let x = Tensor.normal([50, 6], generator: Generator(seed: 2))
    let layer = experts(4, topK: 2, noise: 4)
    func output(_ mode: Mode) -> [Float] {
      layer.setMode(mode)
      return layer(x).array(of: Float.self)
    }
    let plain = output(.evaluation)
    let noisy = output(.training(Generator(seed: 5)))
    #expect(noisy != plain)
    #expect(output(.training(Generator(seed: 5))) == noisy)
    #expect(output(.training(Generator(seed: 6))) != noisy)
    #expect(output(.evaluation) == plain)

    func importance(_ mode: Mode) -> [Float] {
      layer.setMode(mode)
      return RoutingWatch(layer).record { layer(x) }.routing.entries.flatMap {
        $0.balance.importance.array(of: Float.self)
      }
    }
    #expect(importance(.training(Generator(seed: 5))) == importance(.evaluation))

    let silent = experts(4, topK: 2, noise: 0)
    let quiet = silent(x).array(of: Float.self)
    silent.setMode(.training(Generator(seed: 5)))
    #expect(silent(x).array(of: Float.self) == quiet)
  }

  @Test func nothingIsNotedUnlessWatched() {
    let layer = experts(4, topK: 1)
    let x = Tensor.normal([3, 6], generator: Generator(seed: 2))
    let watch = RoutingWatch(layer)
    let (_, routing) = watch.record { layer(layer(x)) }
    #expect(routing.entries.map(\.layer) == ["", ""])
    #expect(routing.entries.allSatisfy { $0.balance.chosenCounts.reduce(0, +) == 3 })
    _ = layer(x)
    #expect(layer.balances == nil)
    let (_, none) = RoutingWatch(LayerNorm(6)).record { x }
    #expect(none.loss == nil)
  }

  // MARK: - Settings

  private func model(_ settings: [String: String]) throws -> any VisionModel {
    let small = [
      "image_size": "32", "depth": "2", "dim": "16", "sparse_tokens": "8", "sparse_dim": "8",
      "expert_tokens_hidden": "8", "expert_channels_hidden": "8", "classes": "3",
    ]
    return try ModelRegistry.entry("sparse_mlp_b_224").visionModel(
      settings: small.merging(settings) { $1 }, generator: Generator(seed: 0))
  }

  @Test func sparseBlocksComeFirstWhereAsked() throws {
    let first = try model(["sparse_position": "first", "sparse_depth": "1"])
    #expect(RoutingWatch(first).names == ["blocks.0.tokens.moe", "blocks.0.channels.moe"])
    let last = try model(["sparse_depth": "1", "depth": "1"])
    #expect(RoutingWatch(last).names == ["blocks.1.tokens.moe", "blocks.1.channels.moe"])
    #expect(RoutingWatch(try model(["sparse_depth": "0"])).names.isEmpty)
  }

  @Test func expertsMaySeeTheTokensAsTheyAre() throws {
    let model = try model(["re_represent": "false"])
    let shapes = Dictionary(
      uniqueKeysWithValues: model.namedParameters.map { ($0.name, $0.parameter.tensor.shape) })
    #expect(shapes["blocks.2.represent1.tokens.weight"] == nil)
    #expect(shapes["blocks.2.tokens.moe.router.weight"] == [8, 4])  // 2 x 2 patches
    #expect(model.logits(.zeros([1, 3, 32, 32])).shape == [1, 3])
  }

  @Test(arguments: [
    (["depth": "0", "sparse_depth": "0"], "sparse_depth is out of range"),
    (["token_top_k": "9"], "token_top_k is out of range: expected 1 to 8, got 9"),
    (["channel_top_k": "0"], "channel_top_k is out of range"),
    (["token_experts": "-1"], "token_experts is out of range"),
    (["sparse_tokens": "0"], "sparse_tokens is out of range"),
    (["router_noise": "-1"], "router_noise is out of range"),
    (["sparse_position": "middle"], "sparse_position"),
  ]) func wrongSettingsAreErrors(_ settings: [String: String], _ part: String) {
    let error = #expect(throws: MingleError.self) { try model(settings) }
    #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
  }
}
