import Foundation
import Mingle
import TestSupport
import Testing

/// `mingle train` from the outside: folders, signals, resumption.
@Suite(.serialized) struct TrainTests {
  /// A network of some thousand parameters on the pictures of ``Samples``.
  static let arguments =
    ["train", "--model", "mixer_s16_224", "--batch-size", "1", "--workers", "1"] + [
      "--set", "image_size=16", "patch_size=8", "depth=1", "dim=16", "--threads", "1",
    ]

  private func train(
    _ folder: TemporaryFolder, _ arguments: [String]
  ) async throws -> Tool.Outcome {
    let data = try await Samples.shared.value.folder("data")
    return try Tool.run(Self.arguments + ["--data", data] + arguments, in: folder.path)
  }

  @Test func aRunCanBeUsed() async throws {
    let folder = try TemporaryFolder()
    let outcome = try await train(folder, ["--output", "run", "--epochs", "2", "--json"])
    #expect(outcome.status == 0, "\(outcome.errors)")
    let summary = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
    #expect((summary as? [String: Any])?["best"] is [String: Any])
    let run = try FileManager.default.contentsOfDirectory(atPath: folder("run"))
    #expect(Set(run).isSuperset(of: ["config.yaml", "log.jsonl", "metrics.csv", "last", "best"]))
    let best = try FileManager.default.contentsOfDirectory(atPath: folder("run/best"))
    #expect(
      Set(best)
        == [
          "model.safetensors", "optimizer.safetensors", "state.json", "labels.txt",
          "preprocess.json",
        ])
    #expect(
      try String(contentsOfFile: folder("run/best/labels.txt"), encoding: .utf8)
        == "class 0\nclass 1\n")

    let picture = try await Samples.shared.value.folder("good.png")
    let answer = try Tool.run(["predict", "run", picture], in: folder.path)
    #expect(answer.status == 0, "\(answer.errors)")
    #expect(answer.output.contains("class 0") && answer.output.contains("class 1"))

    // The run held out one picture of each class; evaluating on what it learned from would flatter.
    let data = try await Samples.shared.value.folder("data")
    let evaluation = try Tool.run(["evaluate", "run", "--data", data, "--json"], in: folder.path)
    #expect(evaluation.status == 0, "\(evaluation.errors)")
    #expect(evaluation.errors.contains("held out"))
    let report = try JSONDecoder().decode(
      ClassificationReport.self, from: Data(evaluation.output.utf8))
    #expect(report.classes.map(\.support) == [1, 1])

    let again = try await train(folder, ["--output", "run"])
    #expect(again.status == 64)
    #expect(again.errors.contains("--resume"), "\(again.errors)")
  }

  @Test func rehearsalsKeepNothing() async throws {
    let folder = try TemporaryFolder()
    for rehearsal in [["--fast-dev-run"], ["--overfit-batches", "1", "--epochs", "2"]] {
      let outcome = try await train(folder, rehearsal)
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(try folder.names().isEmpty)
    }
  }

  @Test(arguments: [
    (["--epochs", "0", "--output", "run"], Int32(64), "epochs is out of range"),
    (["--learning-rate", "0", "--output", "run"], 64, "learning_rate"),
    (["--set", "deph=2", "--output", "run"], 64, "did you mean 'depth'?"),
    (["--weights", "none.safetensors", "--output", "run"], 66, "none.safetensors"),
    (["--data", "none", "--output", "run"], 66, "none"),
    (["none.yaml", "--output", "run"], 66, "none.yaml: no such file"),
    (["--clip", "-1", "--output", "run"], 64, "clip is out of range"),
    (["--fast-dev-run", "--overfit-batches", "1"], 64, "exclude each other"),
    ([], 64, "--output"),
  ])
  func wrongRunsLeaveNothing(_ arguments: [String], _ status: Int32, _ tells: String) async throws {
    let folder = try TemporaryFolder()
    let outcome = try await train(folder, arguments)
    #expect(outcome.status == status, "\(outcome.errors)")
    #expect(outcome.errorLines.count == 1)
    #expect(outcome.errors.hasPrefix("mingle: error: ") && outcome.errors.contains(tells))
    #expect(try folder.names().isEmpty)
  }

  @Test func aStoppedRehearsalCannotBeResumed() async throws {
    let folder = try TemporaryFolder()
    let errors = try folder.write([], to: "errors")
    let data = try await Samples.shared.value.folder("data")
    let process = try Tool.start(
      Self.arguments + ["--data", data, "--overfit-batches", "1", "--epochs", "1000000"],
      in: folder.path, errors: errors)
    try Tool.wait(for: process) { try !folder.bytes("errors").isEmpty }
    kill(process.processIdentifier, SIGINT)
    process.waitUntilExit()
    #expect(process.terminationStatus == 130)
    let lines = try String(contentsOfFile: errors, encoding: .utf8).split(separator: "\n")
    #expect(lines.last == "mingle: error: the run was stopped")
  }

  /// A value for each setting of a run.
  static let settings = [
    "--model": "mixer_s16_224", "--data": "data", "--weights": "w.safetensors", "--epochs": "10",
    "--batch-size": "64", "--accumulation": "1", "--learning-rate": "1e-3",
    "--weight-decay": "0.05", "--optimizer": "adamw", "--schedule": "cosine", "--warmup": "0.05",
    "--loss": "softmax", "--clip": "1", "--freeze": "stem", "--hold-out": "0.2",
    "--augmentation": "none", "--label-smoothing": "0", "--ema-decay": "0.9",
    "--precision": "fp32", "--activation-checkpointing": "", "--seed": "0", "--workers": "2",
    "--save-every": "5",
    "--skip-broken": "", "--fast-dev-run": "", "--overfit-batches": "1", "--device": "cpu",
    "--set": "depth=1", "--image-size": "16", "--classes": "2", "--resize-tokens": "interpolate",
    "--task": "text", "--tokenizer": "vocab.txt", "--text-column": "1", "--pair-column": "2",
    "--label-column": "3", "--max-length": "9",
  ]

  @Test func aRunIsResumedByItsOwnRecipeAlone() throws {
    let resume = ["train", "--resume", "--output", "run", "--threads", "1", "--json"]
    for (flag, value) in Self.settings {
      let outcome = try Tool.run(resume + [flag] + (value.isEmpty ? [] : [value]))
      #expect(outcome.status == 64)
      #expect(outcome.errors.contains("own recipe: got \(flag);"), "\(outcome.errors)")
    }
    #expect(try Tool.run(resume + ["recipe.yaml"]).errors.contains("got a recipe;"))
    #expect(try Tool.run(resume).status == 66)

    let lines = try Tool.run(["help", "train"]).output.split(separator: "\n")
    let flags = lines.filter { $0.hasPrefix("  --") }
      .compactMap { $0.split(separator: " ").first.map(String.init) }
    let others = ["--output", "--resume", "--threads", "--json", "--version"]
    #expect(Set(flags) == Set(Self.settings.keys).union(others), "each flag is known here")
  }

  @Test func aRunIsMeasuredOnWhatItHeldOut() async throws {
    let folder = try TemporaryFolder()
    let data = try await Samples.shared.value.folder("data")
    let run = try await train(folder, ["--output", "run", "--epochs", "1"])
    #expect(run.status == 0, "\(run.errors)")
    for (weights, split, count, note) in [
      ("run", "test", 2, "the 2 pictures that the run held out"),
      ("run", "train", 2, "the 2 pictures that the run was trained on"),
      ("run/best/model.safetensors", "test", 4, "all 4 pictures are used"),
    ] {
      let outcome = try Tool.run(
        ["evaluate", weights, "--data", data, "--split", split, "--json"], in: folder.path)
      #expect(outcome.status == 0 && outcome.errorLines.count == 1)
      #expect(outcome.errors.contains(note), "\(outcome.errors)")
      let report = try JSONDecoder().decode(
        ClassificationReport.self, from: Data(outcome.output.utf8))
      #expect(report.samples == count)
    }
  }

  /// Stopped by Ctrl-C or killed at any moment, and resumed: the weights of an undisturbed run.
  @Test(arguments: [SIGINT, SIGKILL]) func resumedRunEqualsUndisturbed(_ signal: Int32) async throws
  {
    let folder = try TemporaryFolder()
    let more = ["--epochs", "40", "--save-every", "1"]
    let data = try await Samples.shared.value.folder("data")
    let whole = try await train(folder, ["--output", "whole"] + more)
    #expect(whole.status == 0, "\(whole.errors)")

    let process = try Tool.start(
      Self.arguments + ["--data", data, "--output", "parts"] + more, in: folder.path)
    try Tool.wait(for: process) {
      FileManager.default.fileExists(atPath: folder("parts/last/state.json"))
    }
    kill(process.processIdentifier, signal)
    process.waitUntilExit()
    #expect(process.terminationStatus == (signal == SIGINT ? 130 : SIGKILL))
    let resumed = try Tool.run(
      ["train", "--resume", "--output", "parts", "--threads", "1"], in: folder.path)
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(resumed.errors.contains("steps done"))
    #expect(
      try folder.bytes("parts/last/model.safetensors")
        == folder.bytes("whole/last/model.safetensors"))
  }
}
