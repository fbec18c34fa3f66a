import Checkpoints
import Layers
import Models
import TestSupport
import Testing
import Torch

/// What is true of single language families and their layers.
@Suite(.serialized) @TorchActor struct LanguageModelTests {
  private func projection(_ weights: SpatialProjection.Weights) -> SpatialProjection {
    SpatialProjection(
      tokenCount: 6, weights: weights, weight: .normal(standardDeviation: 1),
      bias: .normal(standardDeviation: 1), generator: Generator(seed: 4))
  }

  @Test func toeplitzMatrixHasOneNumberForEachDistance() {
    let layer = projection(.toeplitz)
    let w = layer.weight.tensor.array(of: Float.self)
    for count in [1, 4, 6] {
      let matrix = layer.matrix(of: count).array(of: Float.self)
      for i in 0..<count {
        for j in 0..<count { #expect(matrix[i * count + j] == w[j - i + 5]) }
      }
    }
  }

  @Test(arguments: SpatialProjection.Weights.allCases)
  func shorterTextsHaveTheLeadingBlock(_ weights: SpatialProjection.Weights) {
    let layer = projection(weights)
    let x = Tensor.normal([2, 4, 3], generator: Generator(seed: 5))
    let padded = Tensor.concatenated([x, .zeros([2, 2, 3])], dimension: 1)
    let difference = layer(padded).narrowed(1, 0..<4) - layer(x)
    #expect(difference.abs().max().item < 1e-5)
  }

  @Test(arguments: [6, 4]) func gradientOfToeplitzWeights(_ count: Int) throws {
    let weight = Tensor.normal([11], generator: Generator(seed: 6), dtype: .float64)
    let x = Tensor.normal([2, count, 3], generator: Generator(seed: 7), dtype: .float64)
    let y = Tensor.normal([2, count, 3], generator: Generator(seed: 8), dtype: .float64)
    func loss(_ weight: Tensor) -> Tensor {
      let central = weight.narrowed(0, 6 - count..<5 + count)
      return (x.rowLinear(central.toeplitz(count)) * y).sum()
    }
    weight.setRequiresGradient(true)
    let found = try #require(gradients(of: [loss(weight)], withRespectTo: [weight])[0])
    let values = weight.detached().array(of: Double.self)
    for index in values.indices {
      func moved(_ step: Double) -> Double {
        var changed = values
        changed[index] += step
        return loss(Tensor(changed)).item
      }
      let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
      #expect(abs(found.select(0, index).item - slope) < 1e-6)
    }
  }

  /// A new split gate passes the first half of its channels on unchanged, a multiplicative and an additive
  /// one all of them.
  @Test(arguments: [SpatialFunction.split, .multiplicative, .additive])
  func newGatesAreOpen(_ function: SpatialFunction) throws {
    var configuration = LanguageGatedMLPConfiguration(depth: 1, dim: 4, ffnDim: 8)
    configuration.sequenceLength = 6
    configuration.spatialFunction = function
    let gate = SpatialGate(configuration, generator: Generator(seed: 1))
    let x = Tensor.normal([2, 6, 8], generator: Generator(seed: 2))
    let passed = function == .split ? x.narrowed(-1, 0..<4) : x
    #expect((gate(x, input: .zeros([2, 6, 4])) - passed).abs().max().item < 1e-4)
  }

  @Test(arguments: ["gmlp_base", "amlp_base", "mixer_base"])
  func paddingIsNotMasked(_ name: String) throws {
    let model = try small(name)
    let tokens = Tensor([1, 2, 3, 4], shape: [1, 4])
    let masked = model.states(
      tokens, mask: Tensor([1, 1, 0, 0], shape: [1, 4]),
      segments: Tensor([0, 0, 1, 1], shape: [1, 4]))
    #expect(masked.array(of: Float.self) == model.states(tokens).array(of: Float.self))
  }

  @Test(arguments: ["absolute", "relative"], [true, false])
  func bertDoesNotSeePadding(_ positions: String, _ content: Bool) throws {
    if positions == "absolute" && !content { return }
    let model = try small(
      "bert_base", ["positions": positions, "content_attention": "\(content)"])
    let whole = model.states(
      Tensor([1, 2, 3, 9, 9], shape: [1, 5]), mask: Tensor([1, 1, 1, 0, 0], shape: [1, 5]))
    let text = model.states(Tensor([1, 2, 3], shape: [1, 3]))
    #expect((whole.narrowed(1, 0..<3) - text).abs().max().item < 1e-5)
  }

  /// The classes that T5's code gives distances from -25 to 25 with 8 classes up to distance 20.
  @Test func distancesAreInT5sClasses() throws {
    var configuration = BERTConfiguration(depth: 1, dim: 4, heads: 1, ffnDim: 4)
    (configuration.relativeBuckets, configuration.relativeDistance) = (8, 20)
    (configuration.vocabulary, configuration.positions) = (10, .relative)
    let before = Array(repeating: 3, count: 19) + [2, 2, 2, 2, 2, 1, 0]
    let after = [5, 6, 6, 6, 6, 6] + Array(repeating: 7, count: 19)
    let classes = try BERT(configuration, generator: nil).distances(26, on: .cpu)
    #expect(classes.array(of: Int.self) == before + after)
    (configuration.relativeBuckets, configuration.relativeDistance) = (32, 128)
    let usual = try BERT(configuration, generator: nil).distances(201, on: .cpu)
    let found = usual.array(of: Int.self)
    // T5's first and last distance of some classes.
    for (distance, wanted) in [
      (0, 0), (1, 17), (7, 23), (8, 24), (11, 24), (12, 25), (15, 25), (16, 26), (22, 26), (23, 27),
      (31, 27), (32, 28), (45, 28), (46, 29), (63, 29), (64, 30), (90, 30), (91, 31), (200, 31),
      (-1, 1), (-7, 7), (-8, 8), (-64, 14), (-91, 15),
    ] { #expect(found[200 + distance] == wanted, "\(distance)") }
  }

  private func small(
    _ name: String, _ settings: [String: String] = [:]
  ) throws -> any LanguageModel {
    let entry = try ModelRegistry.entry(name)
    let small = try #require(SmallModels.settings[entry.family])
    let model = try entry.languageModel(
      settings: small.merging(settings) { $1 }, generator: Generator(seed: 1))
    for (name, parameter) in model.namedParameters {
      _ = withoutGradients {
        parameter.tensor.copyInPlace(Fill.parameter(name, parameter.tensor.shape))
      }
    }
    return model
  }

  // MARK: - Weights of others

  private func bertTensors() throws -> [String: Tensor] {
    let state = try small("bert_base").state
    return Dictionary(uniqueKeysWithValues: state.map { ($0.name, $0.tensor) })
  }

  private func load(
    _ tensors: [String: Tensor], _ settings: [String: String] = ["heads": "4"],
    head: LoadOptions.Head = .kept
  ) throws -> any LanguageModel {
    let folder = try TemporaryFolder()
    try Safetensors.write(tensors, to: folder("bert.safetensors"))
    let sizes = ["depth": "2", "dim": "16", "ffn_dim": "24", "heads": "4"]
    return try LanguageCheckpoint.load(
      folder("bert.safetensors"),
      LoadOptions(model: "bert_base", settings: sizes.merging(settings) { $1 }, head: head)
    ).model
  }

  private let tokens = Tensor([1, 2, 3, 4], shape: [1, 4])

  /// Vocabulary and length are the tensors'; heads of other tasks, doubles and counters are left out; old
  /// names are known.
  @Test func publishedBERTsLoad() throws {
    let own = try bertTensors()
    let wanted = try small("bert_base").logits(tokens).array(of: Float.self)
    #expect(try load(own).logits(tokens).array(of: Float.self) == wanted)

    var published = own
    for (key, tensor) in own where key.contains("LayerNorm") {
      published[key] = nil
      let old = key.replacing("LayerNorm.weight", with: "LayerNorm.gamma")
      published[old.replacing("LayerNorm.bias", with: "LayerNorm.beta")] = tensor
    }
    let table = try #require(own["bert.embeddings.word_embeddings.weight"])
    published["cls.predictions.decoder.weight"] = table.cloned()
    published["cls.predictions.decoder.bias"] = published.removeValue(
      forKey: "cls.predictions.bias")
    published["bert.pooler.dense.weight"] = .full([16, 16], 0.5)
    published["bert.pooler.dense.bias"] = .zeros([16])
    published["cls.seq_relationship.weight"] = .zeros([2, 16])
    published["cls.seq_relationship.bias"] = .zeros([2])
    published["bert.embeddings.position_ids"] = .zeros([1, 12], dtype: .int64)
    #expect(try load(published).logits(tokens).array(of: Float.self) == wanted)

    // The pooler is kept where the task needs one.
    let classes = try load(
      published, ["task": "classes", "classes": "3"], head: .fresh(Generator(seed: 1)))
    let pooler = classes.state.first { $0.name == "bert.pooler.dense.weight" }
    #expect(pooler?.tensor.min().item == 0.5)
    #expect(classes.logits(tokens).shape == [1, 3])
  }

  @Test func encodersWithoutPrefixLoad() throws {
    var bare: [String: Tensor] = [:]
    for (key, tensor) in try bertTensors() where key.hasPrefix("bert.") {
      bare[String(key.dropFirst("bert.".count))] = tensor
    }
    let model = try load(bare, head: .fresh(Generator(seed: 1)))
    let states = try small("bert_base").states(tokens)
    #expect(model.states(tokens).array(of: Float.self) == states.array(of: Float.self))
    let error = #expect(throws: MingleError.self) { try load(bare) }
    #expect(error?.description.contains("5 missing (cls.predictions") == true)
  }

  @Test func weightsThatDoNotFitAreErrors() throws {
    func message(_ settings: [String: String], _ change: (inout [String: Tensor]) -> Void) throws
      -> String
    {
      var tensors = try bertTensors()
      change(&tensors)
      return #expect(throws: MingleError.self) { try load(tensors, settings) }?.description ?? ""
    }
    #expect(
      try message([:]) { $0["cls.predictions.decoder.weight"] = .zeros([50, 16]) }
        .contains("must be the same tensor"))
    #expect(try message(["vocabulary": "60"]) { _ in }.contains("expected [60, 16]"))
    #expect(try message(["depth": "3"]) { _ in }.contains("missing"))
    #expect(try message(["depth": "1"]) { _ in }.contains("unused"))
    #expect(try message([:]) { $0["bert.encoder.more"] = .zeros([1]) }.contains("unused"))
    let scalar = try message([:]) { $0["bert.embeddings.word_embeddings.weight"] = .zeros([]) }
    #expect(scalar.contains("got [] float32"))
    let flat = try message([:]) { $0["bert.embeddings.position_embeddings.weight"] = .zeros([3]) }
    #expect(flat.contains("got [3] float32"))
    let empty = try message([:]) { $0["bert.embeddings.word_embeddings.weight"] = .zeros([0, 16]) }
    #expect(empty.contains("vocabulary"))
  }
}
