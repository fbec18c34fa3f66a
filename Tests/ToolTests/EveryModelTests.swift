import Foundation
import Mingle
import TestSupport
import Testing

/// Every registered name, in a small form, goes through every command.
@Suite(.serialized) struct EveryModelTests {
  @Test(arguments: ModelRegistry.entries.map(\.name))
  func everyCommandTakesIt(_ name: String) async throws {
    let samples = try await Samples.shared.value.folder
    let folder = try TemporaryFolder()
    let family = try ModelRegistry.entry(name).family
    let small = try #require(SmallModels.settings[family], "no small settings for \(family)")
    let settings = small.sorted { $0.key < $1.key }.flatMap { ["--set", "\($0.key)=\($0.value)"] }
    func mingle(_ arguments: String...) throws -> Tool.Outcome {
      let outcome = try Tool.run(arguments + ["--threads", "1"], in: samples.path)
      #expect(outcome.status == 0, "\(name) \(arguments): \(outcome.errors)")
      return outcome
    }

    let train = try Tool.run(
      ["train", "--model", name, "--data", "parts", "--output", folder("run"), "--epochs", "1"]
        + ["--batch-size", "2", "--threads", "1"] + settings, in: samples.path)
    try #require(train.status == 0, "\(name) train: \(train.errors)")
    let weights = folder("run/last/model.safetensors")

    let info = try Tool.run(["info", name, "--classes", "2"] + settings)
    #expect(info.status == 0, "\(name) info: \(info.errors)")
    _ = try mingle("evaluate", folder("run"), "--data", "parts")
    #expect(try mingle("predict", folder("run"), "good.png").output.contains(" %  class "))
    let output = folder("features.safetensors")
    _ = try mingle("features", folder("run"), "good.png", "--output", output)

    try await compareForward(name, weights, settings: settings, folder)
  }

  /// `forward`'s logits are the library's.
  @TorchActor private func compareForward(
    _ name: String, _ weights: String, settings: [String], _ folder: TemporaryFolder
  ) throws {
    let model = try ModelCheckpoint.load(weights).model
    let size = model.configuration.imageSize
    let images = Tensor.normal([2, 3, size.height, size.width], generator: Generator(seed: 1))
    try Safetensors.write(["input": images], to: folder("in.safetensors"))
    let forward = try Tool.run(
      ["forward", name, "--weights", weights, "--input", folder("in.safetensors")]
        + ["--output", folder("out.safetensors"), "--threads", "1"])
    #expect(forward.status == 0, "\(name) forward: \(forward.errors)")
    let logits = try Safetensors(at: folder("out.safetensors")).tensor(named: "logits")
    let difference = (logits - model.logits(images)).abs().max().item
    #expect(difference <= 1e-4 * (1 + logits.abs().max().item), "\(name): \(difference)")
  }
}
