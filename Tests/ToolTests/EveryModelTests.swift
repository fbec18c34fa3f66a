import Foundation
import Mingle
import TestSupport
import Testing

/// Every registered name that reads pictures, in a small form, goes the same way as any other.
@Suite(.serialized, .ownRoutes) struct EveryModelTests {
  nonisolated static let entries = ModelRegistry.entries(reading: .pictures)
  nonisolated static let names = entries.map(\.name)
  /// One name of each family: the tool adds nothing that depends on the variant.
  nonisolated static let families = Dictionary(grouping: entries, by: \.family)
    .compactMap { $0.value.first?.name }.sorted()

  @Test(arguments: names) @TorchActor
  func trainsEvaluatesPredictsAndComesBack(_ name: String) async throws {
    let samples = try await Samples.shared.value.folder
    let folder = try TemporaryFolder()
    var recipe = Recipe(model: name, data: samples("parts"))
    recipe.settings = try settings(of: name)
    recipe.epochs = 1
    recipe.batchSize = 2
    recipe.workers = 1
    let result = try Trainer(recipe, in: folder("run")).run()
    #expect(result.last?.step == 2 && result.last?.validation.loss?.isFinite == true)

    let predictor = try Predictor(folder("run"))
    let answers = try predictor.classify(samples("good.png"), top: 2)
    #expect(abs(answers.reduce(0) { $0 + $1.probability } - 1) < 1e-5)
    let input = try predictor.inputs([Image(contentsOf: samples("good.png"))])
    let model = predictor.checkpoint.model
    #expect(predictor.features(input).shape == [1, model.head.inputDimension])
    #expect(predictor.logits(input).isFinite().all().array(of: Bool.self) == [true])
    #expect(model.summary().contains { $0.multiplyAdds > 0 })
  }

  /// Training, information and `forward` build the family from its settings. The others only read a
  /// run, which the test above does with every name: here one of them for each family.
  @Test(arguments: families) func everyCommandTakesIt(_ name: String) async throws {
    let samples = try await Samples.shared.value.folder
    let folder = try TemporaryFolder()
    let fields = try settings(of: name).sorted { $0.key < $1.key }
    let settings = fields.flatMap { ["--set", "\($0.key)=\($0.value)"] }
    @Sendable func mingle(_ arguments: [String]) throws -> String {
      let outcome = try Tool.run(arguments, in: samples.path)
      #expect(outcome.status == 0, "\(name) \(arguments): \(outcome.errors)")
      return outcome.output
    }
    let run = folder("run")
    _ = try mingle(
      ["train", "--model", name, "--output", run, "--epochs", "1", "--batch-size", "2"]
        + ["--data", "parts"] + settings)
    #expect(try mingle(["info", name] + settings).contains(name))
    switch try #require(Self.families.firstIndex(of: name)) % 3 {
    case 0: #expect(try mingle(["evaluate", run, "--data", "parts"]).contains(" right"))
    case 1: #expect(try mingle(["predict", run, "good.png"]).contains(" %  class "))
    default:
      _ = try mingle(["features", run, "good.png", "--output", folder("f.safetensors")])
      #expect(try Safetensors(at: folder("f.safetensors")).names == ["features"])
    }
    try await compareForward(name, folder) { try mingle(["forward", name] + $0) }
  }

  /// `forward`'s logits are the library's.
  @TorchActor private func compareForward(
    _ name: String, _ folder: TemporaryFolder, run: @Sendable ([String]) throws -> String
  ) throws {
    let weights = folder("run/last/model.safetensors")
    let model = try ModelCheckpoint.load(weights).model
    let size = model.configuration.imageSize
    let images = Tensor.normal([2, 3, size.height, size.width], generator: Generator(seed: 1))
    try Safetensors.write(["input": images], to: folder("in.safetensors"))
    _ = try run(
      ["--weights", weights, "--input", folder("in.safetensors")]
        + ["--output", folder("out.safetensors")])
    let logits = try Safetensors(at: folder("out.safetensors")).tensor(named: "logits")
    let difference = (logits - model.logits(images)).abs().max().item
    #expect(difference <= 1e-4 * (1 + logits.abs().max().item), "\(name): \(difference)")
  }

  private func settings(of name: String) throws -> [String: String] {
    let family = try ModelRegistry.entry(name).family
    return try #require(SmallModels.settings[family], "no small settings for \(family)")
  }
}
