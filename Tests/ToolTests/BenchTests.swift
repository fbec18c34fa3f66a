import Foundation
import TestSupport
import Testing

/// `mingle bench` measures small networks.
@Suite(.serialized) struct BenchTests {
  private struct Report: Decodable {
    struct Spread: Decodable {
      let lower_quartile: Double
      let median: Double
      let upper_quartile: Double
    }
    let batch: Int
    let iterations: Int
    let peak_bytes: Int
    let operations_per_second: Double
    let seconds: Spread
  }

  static let small = [
    "mixer_s16_224", "--set", "depth=1", "dim=16", "--image-size", "32", "--batch-size", "3",
    "--seconds", "0.01", "--json",
  ]

  @Test(arguments: ["forward", "step"]) func tellsWhatItFound(_ mode: String) throws {
    let outcome = try Tool.run(["bench"] + Self.small + ["--mode", mode])
    #expect(outcome.status == 0)
    let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
    #expect(report.batch == 3)
    #expect(report.iterations >= 3)
    #expect(report.peak_bytes > 10_000_000)
    let seconds = report.seconds
    #expect(0 < seconds.lower_quartile)
    #expect(seconds.lower_quartile <= seconds.median)
    #expect(seconds.median <= seconds.upper_quartile)
    // Stem 4 * 768 * 16, tokens 16 * 2 * 4 * 8, channels 4 * 2 * 16 * 64, head 16 * 1000.
    let products = 4 * 768 * 16 + 16 * 2 * 4 * 8 + 4 * 2 * 16 * 64 + 16 * 1000
    let operations = Double(2 * 3 * products) * (mode == "step" ? 3 : 1)
    let rate = operations / seconds.median
    #expect(abs(report.operations_per_second / rate - 1) < 1e-6)
  }

  @Test func servesPictures() throws {
    let samples = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../DataTests/Samples").standardized.path
    let folder = try TemporaryFolder()
    let requests = [
      #"{"request": "run", "iterations": 1}"#,
      #"{"request": "pictures", "input": "\#(samples)", "crops": "random", "batch": 4}"#,
      #"{"request": "run", "iterations": 2}"#,
      #"{"request": "check", "output": "\#(folder.path)/first.safetensors"}"#,
      #"{"request": "pictures", "input": "/no/such", "crops": "whole", "batch": 4}"#,
    ]
    let outcome = try Tool.run(
      ["bench", "--serve"], input: Array(requests.joined(separator: "\n").utf8))
    #expect(outcome.status == 0)
    struct Answer: Decodable {
      var seconds: [Double]?
      var error: String?
    }
    let answers = try outcome.output.split(separator: "\n").map {
      try JSONDecoder().decode(Answer.self, from: Data($0.utf8))
    }
    #expect(answers.map { $0.seconds?.count } == [nil, 1, 2, nil, nil])
    #expect(answers.map { $0.error != nil } == [true, false, false, false, true])
    let written = try Data(contentsOf: URL(filePath: folder.path + "/first.safetensors"))
    #expect(written.count > 4 * 4 * 3 * 224 * 224)
  }

  @Test func servesNobody() throws {
    let outcome = try Tool.run(["bench", "--serve"])
    #expect(outcome.status == 0)
    #expect(outcome.output.isEmpty)
  }

  @Test(arguments: [
    ["bench"], ["bench", "gmlp_base"], ["bench", "mixer_s16_224", "--batch-size", "0"],
    ["bench", "mixer_s16_224", "--seconds", "0"],
  ])
  func refuses(_ arguments: [String]) throws {
    let outcome = try Tool.run(arguments)
    #expect(outcome.status == 64)
    #expect(outcome.errorLines.count == 1)
  }
}
