import Foundation
import Mingle
import TestSupport
import Testing

/// `mingle visualize` writes a page with what the weights hold, or says why it does not.
@Suite(.serialized) @TorchActor struct VisualizeTests {
  /// A folder with weights for text.
  private func folder(_ model: String, _ settings: [String: String] = [:]) throws -> TemporaryFolder
  {
    let folder = try TemporaryFolder()
    let family = try ModelRegistry.entry(model).family
    let small = try #require(SmallModels.settings[family])
    try LanguageCheckpoint.fresh(
      model, settings: small.merging(settings) { $1 }, generator: Generator(seed: 1)
    ).write(to: folder("model.safetensors"))
    return folder
  }

  private func page(_ folder: TemporaryFolder) throws -> String {
    try String(contentsOfFile: folder("page.html"), encoding: .utf8)
  }

  @Test func showsDistances() throws {
    let folder = try folder("gmlp_base")
    let outcome = try Tool.run(["visualize", ".", "--output", "page.html"], in: folder.path)
    #expect(outcome.status == 0 && outcome.output.isEmpty, "\(outcome.errors)")
    #expect(outcome.errors.contains("gmlp_base, 2 blocks"))
    let page = try page(folder)
    for part in ["How gmlp_base mixes tokens", "blocks.1", "<polyline", "distance -11: "] {
      #expect(page.contains(part), "the page lacks '\(part)'")
    }
  }

  @Test func showsWeightsForPictures() async throws {
    let samples = try await Samples.shared.value.folder
    let folder = try TemporaryFolder()
    let outcome = try Tool.run(
      ["visualize", samples("plain.safetensors"), "--output", folder("page.html"), "--model"]
        + ["mixer_s16_224"] + Samples.settings)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let page = try page(folder)
    #expect(page.contains("16 of 16") && page.contains("4 × 4"))
  }

  @Test func replacesNothingUnasked() throws {
    let folder = try folder("amlp_base", ["spatial_weights": "full"])
    try folder.write([1], to: "page.html")
    let arguments = ["visualize", "model.safetensors", "--output", "page.html"]
    let refused = try Tool.run(arguments, in: folder.path)
    #expect(refused.status == 64 && refused.errors.contains("--force"))
    #expect(try Data(contentsOf: URL(filePath: folder("page.html"))) == Data([1]))
    #expect(try Tool.run(arguments + ["--force"], in: folder.path).status == 0)
    #expect(try page(folder).contains("12 tokens"))
  }

  @Test func otherNetworksAndNamesAreErrors() throws {
    let folder = try folder("bert_base")
    for (arguments, part, status) in [
      (["model.safetensors", "--output", "page.html"], "gMLP, aMLP or MLP-Mixer", Int32(64)),
      (["model.safetensors", "--output", "page.png"], "expected *.html", 64),
      (["other.safetensors", "--output", "page.html"], "other.safetensors", 66),
    ] {
      let outcome = try Tool.run(["visualize"] + arguments, in: folder.path)
      #expect(outcome.status == status)
      #expect(outcome.errorLines.count == 1 && outcome.errors.contains(part), "\(outcome.errors)")
    }
    #expect(!FileManager.default.fileExists(atPath: folder("page.html")))
  }
}
