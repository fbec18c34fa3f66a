import Layers
import Models
import TestSupport
import Testing
import Torch

/// The weights over tokens that one can look at are those that the layers compute with.
@Suite(.serialized) @TorchActor struct SpatialFiltersTests {
  private func model(_ name: String, _ changes: [String: String] = [:]) throws -> any Model {
    let entry = try ModelRegistry.entry(name)
    let settings = (SmallModels.settings[entry.family] ?? [:]).merging(changes) { $1 }
    return try entry.model(settings: settings, generator: Generator(seed: 1))
  }

  @Test(arguments: [
    ("gmlp_base", "gate.spatial.weight"), ("amlp_base", "gate.spatial.weight"),
    ("mixer_base", "mlp_tokens.fc1.weight"), ("mixer_s16_224", "mlp_tokens.fc1.weight"),
    ("gmlp_ti16_224", "mlp_channels.gate.proj.weight"), ("resmlp_12_224", "linear_tokens.weight"),
  ])
  func areTheParameters(_ name: String, _ key: String) throws {
    let model = try model(name)
    let layers = try SpatialFilters(of: model).layers
    #expect(layers.map(\.name) == ["blocks.0", "blocks.1"])
    let state = Dictionary(uniqueKeysWithValues: model.state.map { ($0.name, $0.tensor) })
    for layer in layers {
      #expect(layer.key == "\(layer.name).\(key)")
      let parameter = try #require(state[layer.key])
      #expect(layer.weight.shape == parameter.shape)
      #expect(layer.weight.array(of: Float.self) == parameter.array(of: Float.self))
    }
  }

  @Test func layoutsAreThoseOfTheFamilies() throws {
    func first(_ name: String, _ changes: [String: String] = [:]) throws -> SpatialFilters.Layer {
      try #require(try SpatialFilters(of: model(name, changes)).layers.first)
    }
    let grid = SpatialFilters.Layout.grid(ImageSize(4, 6))  // 32x48 pixels in patches of 8
    #expect(try first("gmlp_base").layout == .distances)
    #expect(try first("gmlp_base").tokenCount == 12)
    #expect(try first("gmlp_base", ["spatial_weights": "full"]).layout == .positions)
    #expect(try first("mixer_base").layout == .positions)
    #expect(try first("mixer_base").unit == .hidden)
    #expect(try first("mixer_base").tokenCount == 12)
    #expect(try first("mixer_s16_224").layout == grid)
    #expect(try first("mixer_s16_224").unit == .hidden)
    #expect(try first("resmlp_12_224").layout == grid)
    #expect(try first("gmlp_ti16_224").unit == .token)
  }

  /// A filter's number for the distance j - i is what token j adds to token i.
  @Test func distancesAreFromTheTokenThatIsComputed() throws {
    let model = try model("gmlp_base", ["spatial_function": "linear"])
    let filter = try #require(try SpatialFilters(of: model).layers.first)
    let modules = model.namedModules.compactMap { $0.module as? SpatialProjection }
    let layer = try #require(modules.first)
    let weights = filter.weight.array(of: Float.self)
    #expect(Set(weights).count > 20)
    for j in [0, 4, 11] {
      var values = [Float](repeating: 0, count: 12)
      values[j] = 1
      let output = (layer(Tensor(values, shape: [1, 12, 1])) - layer(.zeros([1, 12, 1])))
        .array(of: Float.self)
      for i in 0..<12 { #expect(abs(output[i] - weights[j - i + 11]) < 1e-6) }
    }
  }

  /// Row i of a filter over the grid is what each patch adds to patch i.
  @Test func rowsAreThePatchesThatAreComputed() throws {
    let model = try model("resmlp_12_224")
    let filter = try #require(try SpatialFilters(of: model).layers.first)
    let modules = model.namedModules.filter { $0.name == "blocks.0.linear_tokens" }
    let layer = try #require(modules.first?.module as? Linear)
    let weights = filter.weight.array(of: Float.self)
    var values = [Float](repeating: 0, count: 24)
    values[7] = 1
    let output =
      (layer.overRows(Tensor(values, shape: [1, 24, 1])) - layer.overRows(.zeros([1, 24, 1])))
      .array(of: Float.self)
    for i in 0..<24 { #expect(abs(output[i] - weights[i * 24 + 7]) < 1e-6) }
  }

  @Test(arguments: ["bert_base", "vit_base_patch16_224", "vip_small_7_224", "resnet18"])
  func otherFamiliesAreErrors(_ name: String) throws {
    let model = try model(name)
    let error = #expect(throws: MingleError.self) { try SpatialFilters(of: model) }
    #expect(error?.kind == .usage)
    #expect(error?.description.contains("gMLP, aMLP or MLP-Mixer") == true)
  }
}
