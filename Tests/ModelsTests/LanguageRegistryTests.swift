import Checkpoints
import Layers
import Models
import TestSupport
import Testing
import Torch

/// What holds for every registered language model.
@Suite(.serialized) @TorchActor struct LanguageRegistryTests {
  nonisolated static let names = ModelRegistry.entries(reading: .text).map(\.name)
  /// One name of each family.
  nonisolated static let families = ["gmlp_base", "amlp_base", "bert_base", "mixer_base"]
  nonisolated static let tasks = ["masked", "classes", "span"]

  @Test(arguments: names) func countsAreExact(_ name: String) throws {
    let entry = try ModelRegistry.entry(name)
    let model = try withoutMemory { try entry.languageModel(generator: nil) }
    #expect(model.parameterCount == entry.parameterCount)
    let summary = model.summary()
    #expect(summary.reduce(0) { $0 + $1.multiplyAdds } == entry.multiplyAdds)
    #expect(summary.reduce(0) { $0 + $1.parameters } == entry.parameterCount)
    #expect(entry.task == "masked language modelling")
    #expect(entry.preprocessing == nil)
  }

  /// A model of the name's family with settings of ``SmallModels`` and random weights that are not
  /// near those of the start, where gates are closed.
  private func small(
    _ name: String, _ task: String = "masked", with settings: [String: String] = [:]
  ) throws -> any LanguageModel {
    let entry = try ModelRegistry.entry(name)
    let small = try #require(SmallModels.settings[entry.family])
    let all = small.merging(["task": task, "classes": "3"]) { $1 }.merging(settings) { $1 }
    let model = try entry.languageModel(settings: all, generator: Generator(seed: 1))
    let random = Generator(seed: 2)
    withoutGradients {
      for (_, parameter) in model.namedParameters {
        parameter.tensor.addInPlace(
          .normal(parameter.tensor.shape, standardDeviation: 0.2, generator: random))
      }
    }
    return model
  }

  private let tokens = Tensor(
    [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4], shape: [2, 10])

  @Test(arguments: families, tasks)
  func answersHaveTheirShapes(_ name: String, _ task: String) throws {
    let model = try small(name, task)
    let shapes = ["masked": [2, 10, 50], "classes": [2, 3], "span": [2, 10, 2]]
    let logits = model.logits(tokens)
    #expect(logits.shape == shapes[task])
    #expect(model.features(tokens).shape == (task == "classes" ? [2, 16] : [2, 10, 16]))
    #expect(
      try small(name, task).logits(tokens).array(of: Float.self) == logits.array(of: Float.self))
    let names = model.stages(mask: nil, segments: nil).map(\.name)
    let last = try #require(try model.intermediates(tokens, at: names).last)
    #expect(last.array(of: Float.self) == model.states(tokens).array(of: Float.self))
    #expect(throws: MingleError.self) { try model.intermediates(tokens, at: ["blocks.99"]) }
    let summary = model.summary()
    #expect(summary.reduce(0) { $0 + $1.parameters } <= model.parameterCount)
    #expect(Set(summary.map(\.name)).isSubset(of: Set(model.namedModules.map(\.name))))
  }

  @Test(arguments: families, tasks)
  func everyParameterHasAGradient(_ name: String, _ task: String) throws {
    let model = try small(name, task)
    let segments = Tensor.range(20).reshaped([2, 10]).greater(9).to(.int64)
    let logits = model.logits(tokens, segments: segments)
    let found = gradients(
      of: [logits.logSoftmax().narrowed(-1, 0..<1).sum()],
      withRespectTo: model.namedParameters.map(\.parameter.tensor))
    for ((name, _), gradient) in zip(model.namedParameters, found) {
      // Softmax removes the one; the other shifts all channels of a token alike, and the next norm
      // removes it.
      let vanishing = ["attention.self.key.bias", "mlp_tokens.fc2.bias"]
      if vanishing.contains(where: name.hasSuffix) { continue }
      #expect(try #require(gradient).norm().item > 0, "\(name)")
    }
  }

  @Test(arguments: families) func chosenPositionsHaveTheSameLogits(_ name: String) throws {
    let model = try small(name)
    let all = model.logits(tokens).reshaped([20, 50])
    let positions = Tensor([0, 7, 19] as [Int])
    let some = model.maskedLogits(tokens, at: positions)
    #expect(some.shape == [3, 50])
    #expect((some - all.indexSelect(0, positions)).abs().max().item < 1e-5)
  }

  @Test(arguments: families) func dropoutActsOnlyInTraining(_ name: String) throws {
    let model = try small(name, with: ["dropout": "0.5"])
    func states() -> [Float] { model.states(tokens).array(of: Float.self) }
    let evaluated = states()
    model.setMode(.training(Generator(seed: 5)))
    let trained = states()
    #expect(trained != evaluated)
    model.setMode(.training(Generator(seed: 5)))
    #expect(states() == trained)
    model.setMode(.evaluation)
    #expect(states() == evaluated)
  }

  @Test(arguments: families) func replacedHeadKeepsTheEncoder(_ name: String) throws {
    let model = try small(name)
    let other = try model.replacingHead(
      task: .classes, classCount: 4, generator: Generator(seed: 2))
    #expect(other.logits(tokens).shape == [2, 4])
    #expect(
      other.states(tokens).array(of: Float.self) == model.states(tokens).array(of: Float.self))
    let back = try other.replacingHead(task: .masked, generator: Generator(seed: 2))
    #expect(back.logits(tokens).shape == [2, 10, 50])
  }

  @Test(arguments: families) func savedModelsComeBack(_ name: String) throws {
    let folder = try TemporaryFolder()
    let model = try small(name, "classes")
    let checkpoint = LanguageCheckpoint(
      name: name, model: model, labels: ["a", "b", "c"], tokenizer: "0123", provenance: ["x": "y"])
    try checkpoint.write(to: folder("model.safetensors"))
    let loaded = try LanguageCheckpoint.load(folder("model.safetensors"))
    #expect(loaded.name == name && loaded.labels == checkpoint.labels)
    #expect(loaded.tokenizer == "0123" && loaded.provenance == ["x": "y"])
    #expect(
      loaded.model.logits(tokens).array(of: Float.self)
        == model.logits(tokens).array(of: Float.self))
    #expect(try ModelRegistry.entry(ofWeightsAt: folder.path + "/model.safetensors").name == name)

    let fresh = try LanguageCheckpoint.load(
      folder("model.safetensors"),
      LoadOptions(settings: ["classes": "7"], head: .fresh(Generator(seed: 1))))
    #expect(fresh.labels == nil)
    #expect(fresh.model.logits(tokens).shape == [2, 7])
    // The encoder and the pooler are the file's.
    #expect(
      fresh.model.features(tokens).array(of: Float.self)
        == model.features(tokens).array(of: Float.self))

    let error = #expect(throws: MingleError.self) {
      try ModelCheckpoint.load(folder("model.safetensors"))
    }
    #expect(error?.description.contains("reads text, not pictures") == true)
    let masked = #expect(throws: MingleError.self) {
      try LanguageCheckpoint.load(
        folder("model.safetensors"), LoadOptions(settings: ["task": "masked"]))
    }
    #expect(masked?.description.contains("missing") == true)
  }

  @Test func picturesAndTextAreToldApart() throws {
    let text = #expect(throws: MingleError.self) {
      try ModelCheckpoint.fresh("bert_base", generator: Generator(seed: 1))
    }
    #expect(text?.description.contains("bert_base reads text, not pictures") == true)
    let pictures = #expect(throws: MingleError.self) {
      try LanguageCheckpoint.fresh("mixer_s16_224", generator: Generator(seed: 1))
    }
    #expect(pictures?.description.contains("mixer_s16_224 reads pictures, not text") == true)
  }

  @Test(arguments: [
    ("gmlp_base", ["sequence_lenght": "3"], "did you mean 'sequence_length'?"),
    ("gmlp_base", ["vocabulary": "1"], "vocabulary is out of range"),
    ("gmlp_base", ["ffn_dim": "3071"], "halves"),
    ("gmlp_base", ["spatial_function": "cubic"], "'spatial_function'"),
    ("gmlp_base", ["attention_dim": "-1"], "attention_dim is out of range"),
    ("amlp_base", ["task": "translate"], "'task'"),
    ("bert_base", ["heads": "5"], "heads must divide dim"),
    ("bert_base", ["content_attention": "false"], "positions=relative"),
    ("bert_base", ["relative_distance": "8"], "relative_buckets"),
    ("bert_base", ["pad_token": "30522"], "pad_token is out of range"),
    ("mixer_base", ["token_ffn_dim": "0"], "token_ffn_dim is out of range"),
    ("gmlp_xlarge", ["vocabulary": "10000000"], "do not fit into memory"),
  ]) func wrongSettingsAreErrors(_ name: String, _ settings: [String: String], _ part: String) {
    let error = #expect(throws: MingleError.self) {
      try ModelRegistry.entry(name).languageModel(settings: settings, generator: nil)
    }
    #expect(error?.kind == .usage)
    #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
  }

  @Test func wrongTokensAreErrors() throws {
    let model = try small("bert_base")
    func message(
      _ tokens: Tensor, mask: Tensor? = nil, segments: Tensor? = nil
    ) -> String {
      let error = #expect(throws: MingleError.self) {
        try model.check(tokens, mask: mask, segments: segments)
      }
      #expect(error?.kind == .badData)
      return error?.description ?? ""
    }
    func ids(_ value: Double, _ shape: [Int] = [2, 4]) -> Tensor {
      .full(shape, value, dtype: .int64)
    }
    #expect(message(ids(50)).contains("expected 0 to 49, got 50"))
    #expect(message(ids(-1)).contains("got -1"))
    #expect(message(ids(1, [2, 13])).contains("expected at most 12, got 13 tokens"))
    #expect(message(ids(1, [2])).contains("[texts, tokens] int64"))
    #expect(message(ids(1, [0, 4])).contains("[texts, tokens] int64"))
    #expect(message(.zeros([2, 4])).contains("float32"))
    #expect(message(ids(1), mask: ids(1, [2, 5])).contains("mask must have one number"))
    #expect(message(ids(1), mask: ids(0)).contains("leaves no token"))
    #expect(message(ids(1), segments: ids(2)).contains("expected 0 to 1, got 2"))
    try model.check(ids(1), mask: ids(1), segments: ids(1))
  }
}
