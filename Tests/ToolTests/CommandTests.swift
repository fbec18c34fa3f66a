import Foundation
import Mingle
import TestSupport
import Testing

/// What the commands answer when all is well.
@Suite(.serialized, .ownRoutes) struct CommandTests {
  @Test(arguments: [
    ["models"], ["info", "resmlp_12_224", "--image-size", "32x48", "--set", "depth=1"], ["doctor"],
    ["data", "data"], ["evaluate", "labelled.safetensors", "--data", "parts"],
    ["predict", "labelled.safetensors", "good.png", "data"],
  ])
  func jsonIsOneDocumentAndNothingElse(_ arguments: [String]) async throws {
    let folder = try await Samples.shared.value.folder
    let outcome = try Tool.run(arguments + ["--json"], in: folder.path)
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.errors.isEmpty)
    let value = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
    #expect(JSONSerialization.isValidJSONObject(value))
    #expect(!keys(of: value).contains { $0.contains(where: \.isUppercase) }, "not snake_case")
  }

  /// All keys but those of class names, which are data.
  private func keys(of value: Any) -> [String] {
    if let list = value as? [Any] { return list.flatMap(keys) }
    guard let object = value as? [String: Any] else { return [] }
    return object.keys + object.values.flatMap(keys)
  }

  @Test func registryIsListedWhole() throws {
    let rows = try #require(
      try JSONSerialization.jsonObject(with: Data(Tool.run(["models", "--json"]).output.utf8))
        as? [[String: Any]])
    #expect(rows.map { $0["name"] as? String } == ModelRegistry.entries.map(\.name))
    #expect(rows.map { $0["parameters"] as? Int } == ModelRegistry.entries.map(\.parameterCount))
  }

  @Test func infoAddsUp() throws {
    let text = try Tool.run(["info", "mixer_s16_224", "--set", "depth=2", "--json"]).output
    let info = try #require(
      try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    let layers = try #require(info["layers"] as? [[String: Any]])
    for key in ["parameters", "multiply_adds"] {
      let sum = layers.reduce(0) { $0 + ($1[key] as? Int ?? 0) }
      #expect(sum > 0 && sum == info[key] as? Int, "\(key)")
    }
  }

  @Test func infoTellsSettingsAsSetTakesThem() throws {
    let text = try Tool.run(["info", "raft_mlp_s_224"]).output
    let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("settings: ") })
    let fields = line.dropFirst("settings: ".count).split(separator: " ").map(String.init)
    #expect(fields.contains("kernels=4+8,2+4,2+4,2") && fields.contains("shortcut=false"))
    let again = try Tool.run(["info", "raft_mlp_s_224"] + fields.flatMap { ["--set", $0] })
    #expect(again.output == text, "\(again.errors)")
  }

  @Test func predictAnswersAroundABrokenPicture() async throws {
    let folder = try await Samples.shared.value.folder
    let outcome = try Tool.run(
      ["predict", "labelled.safetensors", "good.png", "broken.png", "data", "--top-k", "2"],
      in: folder.path)
    #expect(outcome.status == 65)
    #expect(outcome.errorLines.count == 1 && outcome.errors.contains("broken.png"))
    let lines = outcome.output.split(separator: "\n")
    #expect(lines.filter { $0.hasSuffix(".png") }.count == 5)
    #expect(lines.filter { $0.contains("%  class ") }.count == 10)
  }

  @Test func evaluateCountsEveryPicture() async throws {
    let folder = try await Samples.shared.value.folder
    for arguments in [
      ["--data", "data"], ["--data", "half", "--skip-broken"], ["--data", "parts"],
    ] {
      let outcome = try Tool.run(
        ["evaluate", "labelled.safetensors", "--json"] + arguments, in: folder.path)
      #expect(outcome.status == 0, "\(outcome.errors)")
      let report = try JSONDecoder().decode(
        ClassificationReport.self, from: Data(outcome.output.utf8))
      #expect(report.samples == (arguments.contains("data") ? 4 : 2))
      #expect(outcome.errors.contains("no test part") != arguments.contains("parts"))
      #expect(report.classes.map(\.name) == (0..<10).map { "class \($0)" })
      #expect(report.loss.map { $0 > 0 } == true)
    }
  }

  @Test func dataNamesWhatIsBroken() async throws {
    let folder = try await Samples.shared.value.folder
    let outcome = try Tool.run(["data", "half"], in: folder.path)
    #expect(outcome.status == 65)
    #expect(outcome.errorLines.count == 1)
    #expect(outcome.output.contains("half/class 0/3.png: "))
    #expect(outcome.output.contains("3 pictures of 1 classes"))
  }

  @Test @TorchActor func featuresAreThoseOfForward() async throws {
    let folder = try await Samples.shared.value.folder
    let own = try TemporaryFolder()
    let output = own("features.safetensors")
    let outcome = try Tool.run(
      ["features", "labelled.safetensors", "data", "--output", output], in: folder.path)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let file = try Safetensors(at: output)
    #expect(try file.tensor(named: "labels").array(of: Int.self) == [0, 0, 1, 1])
    let names = try JSONDecoder().decode([String].self, from: Data(file.metadata["names"]!.utf8))
    #expect(names.map { $0.suffix(5) } == ["1.png", "2.png", "1.png", "2.png"])

    let predictor = try Predictor(folder("labelled.safetensors"))
    let input = try predictor.inputs([Image(contentsOf: folder("good.png"))])
    let expected = predictor.features(input).array(of: Float.self)
    let found = try file.tensor(named: "features")
    #expect(found.shape == [4, 32])
    for row in 0..<4 {
      for (a, b) in zip(found.select(0, row).array(of: Float.self), expected) {
        #expect(abs(a - b) < 1e-5)
      }
    }
  }

  @Test @TorchActor func convertedWeightsTellAboutThemselves() async throws {
    let samples = try await Samples.shared.value.folder
    let folder = try TemporaryFolder()
    let output = folder("converted.safetensors")
    let outcome = try Tool.run(
      ["convert", samples("plain.safetensors"), output, "--model", "mixer_s16_224"]
        + Samples.settings)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let checkpoint = try ModelCheckpoint.load(output)
    #expect(checkpoint.name == "mixer_s16_224")
    #expect(checkpoint.model.configuration.imageSize == 32)
    #expect(checkpoint.provenance["converted_from"] == samples("plain.safetensors"))
    #expect(checkpoint.provenance["converted_by"]?.hasPrefix("mingle ") == true)
    let original = try Safetensors(at: samples("plain.safetensors")).tensors()
    #expect(Set(checkpoint.model.state.map(\.name)) == Set(original.keys))
    for (name, tensor) in checkpoint.model.state {
      #expect(tensor.array(of: Float.self) == original[name]?.array(of: Float.self), "\(name)")
    }
    let again = try Tool.run(["convert", output, output, "--force"])
    #expect(again.status == 0, "\(again.errors)")
    #expect(try folder.names() == ["converted.safetensors"])
  }
  @Test(arguments: ["google.npz", "google.safetensors"]) @TorchActor
  func publishedLayoutsAreWrittenAndReadBack(_ name: String) async throws {
    let samples = try await Samples.shared.value.folder
    let folder = try TemporaryFolder()
    let settings = ["--model", "mixer_s16_224"] + Samples.settings
    for arguments in [
      [samples("plain.safetensors"), folder(name), "--layout", "google"],
      [folder(name), folder("back.safetensors")],
    ] {
      let outcome = try Tool.run(["convert"] + arguments + settings)
      #expect(outcome.status == 0, "\(outcome.errors)")
    }
    #expect(try openTensorArchive(at: folder(name)).names.contains("stem/kernel"))
    let original = try Safetensors(at: samples("plain.safetensors")).tensors()
    let back = try Safetensors(at: folder("back.safetensors")).tensors()
    #expect(Set(back.keys) == Set(original.keys))
    for (key, tensor) in back {
      #expect(tensor.array(of: Float.self) == original[key]?.array(of: Float.self), "\(key)")
    }
  }
}
