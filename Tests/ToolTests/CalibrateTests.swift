import Foundation
import Mingle
import TestSupport
import Testing

/// `mingle calibrate`, and what uses its result.
@Suite(.serialized) struct CalibrateTests {
  /// A Mixer that has learned to read the digits that come with the program.
  private static let run = Task {
    let folder = try TemporaryFolder()
    let digits = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../Sources/MingleTool/Resources/digits.csv.gz").standardized.path
    let outcome = try Tool.run(
      [
        "train", "--model", "mixer_s16_224", "--data", digits, "--output", "run", "--epochs", "6",
        "--learning-rate", "4e-3", "--workers", "1", "--threads", "1", "--seed", "1", "--set",
        "image_size=8", "patch_size=2", "input_channels=1", "depth=3", "dim=48",
      ], in: folder.path)
    try #require(outcome.status == 0, "\(outcome.errors)")
    return folder
  }

  private struct Report: Decodable {
    struct Accuracy: Decodable {
      let precision: String
      let is_calibrated: Bool
      let samples: Int
      let accuracy: Double
      let change: Double
    }
    let pictures: Int
    let accuracies: [Accuracy]
    let layers: [Calibration.Step]
    let output: String
  }

  private func calibrate(_ folder: TemporaryFolder, _ more: [String] = []) throws -> Report {
    let outcome = try Tool.run(["calibrate", "run", "--json"] + more, in: folder.path)
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.errors.isEmpty)
    return try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
  }

  @Test func accuracyIsKept() async throws {
    let folder = try await Self.run.value
    let report = try calibrate(folder, ["--pictures", "128"])
    #expect(report.pictures == 128)
    #expect(report.accuracies.map(\.precision) == ["fp32", "bf16", "int8", "int8"])
    #expect(report.accuracies.map(\.is_calibrated) == [false, false, false, true])
    let exact = try #require(report.accuracies.first)
    #expect(exact.samples == 359)
    #expect(exact.accuracy > 0.8)
    for accuracy in report.accuracies {
      #expect(accuracy.change >= -0.005, "\(accuracy)")
      #expect(abs(accuracy.accuracy - exact.accuracy - accuracy.change) < 1e-9)
    }
    #expect(report.layers.count == 8)
    #expect(report.layers.count { $0.products == .bytes } > 4)
    #expect(report.output.hasSuffix("run/best/calibration.json"))
    #expect(try Calibration(contentsOf: report.output).steps == report.layers)
  }

  @Test func commandsUseIt() async throws {
    let folder = try await Self.run.value
    let report = try calibrate(folder)
    #expect(report.pictures == 256)
    let digits = try Recipe(contentsOf: folder("run/config.yaml")).data
    let int8 = ["--precision", "int8"]

    let evaluation = try Tool.run(
      ["evaluate", "run", "--data", digits, "--json"] + int8, in: folder.path)
    #expect(evaluation.status == 0)
    #expect(evaluation.errors.contains("int8 as calibrated on 256 pictures"))
    let found = try JSONDecoder().decode(
      ClassificationReport.self, from: Data(evaluation.output.utf8))
    #expect(found.accuracy == report.accuracies.last?.accuracy)
    let exact = try Tool.run(["evaluate", "run", "--data", digits], in: folder.path)
    #expect(!exact.errors.contains("calibrated"))

    let picture = Image(width: 8, height: 8, channels: 1, pixels: (0..<64).map { UInt8($0 * 4) })
    try folder.write(picture.encodedAsPNG(), to: "digit.png")
    let prediction = try Tool.run(["predict", "run", "digit.png"] + int8, in: folder.path)
    #expect(prediction.status == 0)
    #expect(prediction.errors.contains("run/best/calibration.json"), "\(prediction.errors)")
    let features = try Tool.run(
      ["features", "run", "digit.png", "--output", "f.safetensors"] + int8, in: folder.path)
    #expect(features.status == 0)
    #expect(features.errors.contains("as calibrated"))

    let bench = try Tool.run(
      ["bench", "mixer_s16_224", "--weights", "run", "--seconds", "0.01"] + int8,
      in: folder.path)
    #expect(bench.status == 0, "\(bench.errors)")
    #expect(bench.output.hasPrefix("mixer_s16_224, forward, batch 1, int8 calibrated, "))
  }

  @Test func peopleReadATable() async throws {
    let folder = try await Self.run.value
    let outcome = try Tool.run(["calibrate", "run", "--pictures", "32"], in: folder.path)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let lines = outcome.output.split(separator: "\n")
    #expect(lines[0].hasSuffix("accuracy  change in points"))
    #expect(
      zip(lines[1...], ["fp32", "bf16", "int8", "int8 calibrated"]).allSatisfy {
        $0.hasPrefix($1) && $0.contains(" %")
      })
    #expect(outcome.output.contains("On 359 pictures, after calibration on 32"))
    #expect(outcome.output.contains("of 8 layers and pairs of layers multiply bytes"))
  }

  @Test func whatDoesNotFitIsRefused() async throws {
    let source = try await Self.run.value, folder = try TemporaryFolder()
    let manager = FileManager.default
    try manager.copyItem(atPath: source("run"), toPath: folder("run"))
    let picture = Image(width: 8, height: 8, channels: 1, pixels: Array(repeating: 9, count: 64))
    try folder.write(picture.encodedAsPNG(), to: "digit.png")
    func predict(_ tells: String...) throws {
      let arguments = ["predict", "run", "digit.png"]
      let outcome = try Tool.run(arguments + ["--precision", "int8"], in: folder.path)
      #expect(outcome.status == 65)
      #expect(outcome.output.isEmpty)
      #expect(outcome.errorLines.count == 1)
      for text in tells + ["run/best/calibration.json: ", "run 'mingle calibrate' again"] {
        #expect(outcome.errors.contains(text), "\(outcome.errors)")
      }
      #expect(try Tool.run(arguments, in: folder.path).status == 0)
    }
    try folder.write(Array("{".utf8), to: "run/best/calibration.json")
    try predict("not a calibration, or a damaged one")
    // Other settings, and so other layers and weights than those that are used.
    let other = ["--resize-tokens", "interpolate", "--image-size", "16", "--pictures", "8"]
    let outcome = try Tool.run(["calibrate", "run"] + other, in: folder.path)
    #expect(outcome.status == 0, "\(outcome.errors)")
    try predict("another network", "16 tokens", "64 tokens")
  }
}
