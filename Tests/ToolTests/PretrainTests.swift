import Foundation
import Mingle
import TestSupport
import Testing

/// `mingle pretrain`, `fill-mask` and `compare` from the outside.
@Suite(.serialized) struct PretrainTests {
  let folder: TemporaryFolder

  /// A network of some thousand parameters.
  static let settings = [
    "--set", "depth=2", "dim=32", "ffn_dim=64", "--sequence-length", "20",
  ]

  init() throws {
    folder = try TemporaryFolder()
    try FileManager.default.createDirectory(
      atPath: folder("text"), withIntermediateDirectories: true)
    try write(TinyLanguage.text(300), to: "text/train.txt")
    try write(TinyLanguage.text(60, seed: 2), to: "text/valid.txt")
    try write(TinyLanguage.vocabularyText, to: "vocab.txt")
  }

  private func write(_ text: String, to name: String) throws {
    try folder.write(Array(text.utf8), to: name)
  }

  private static let arguments =
    [
      "pretrain", "--model", "gmlp_base", "--data", "text", "--cache", "cache", "--batch-size",
      "16", "--workers", "1", "--threads", "1",
    ] + settings

  private func pretrain(_ arguments: [String]) throws -> Tool.Outcome {
    try Tool.run(Self.arguments + arguments, in: folder.path)
  }

  /// From text to words behind masks.
  @Test func theWholeWay() throws {
    let made = try Tool.run(
      [
        "tokenizer", "train", "--kind", "wordpiece", "--vocabulary", "50", "--data",
        "text/train.txt", "--output", "made.txt",
      ], in: folder.path)
    #expect(made.status == 0, "\(made.errors)")
    let run = try pretrain([
      "--tokenizer", "made.txt", "--output", "run", "--epochs", "3",
    ])
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.hasPrefix("best perplexity "))
    #expect(run.errorLines.first?.contains("validation sequences, 3 epochs of ") == true)
    #expect(run.errors.contains(" tokens/s"))
    #expect(!run.errors.contains("classes"))
    let names = try FileManager.default.contentsOfDirectory(atPath: folder("run")).sorted()
    #expect(
      names == ["best", "config.yaml", "last", "log.jsonl", "metrics.csv", "report.html"])
    let configuration = try String(contentsOfFile: folder("run/config.yaml"), encoding: .utf8)
    #expect(configuration.contains("tokenizer: \(folder("made.txt"))"), "a whole path")

    // The run's folder is enough.
    try FileManager.default.removeItem(atPath: folder("made.txt"))
    let answer = try Tool.run(
      ["fill-mask", "run", "the foxs like <mask> .", "--top-k", "3"], in: folder.path)
    #expect(answer.status == 0, "\(answer.errors)")
    #expect(answer.errors.isEmpty)
    let lines = answer.output.split(separator: "\n")
    #expect(lines.count == 4)
    #expect(lines.first == "the foxs like <mask> .")
    #expect(lines.dropFirst().allSatisfy { $0.contains(" %  ") }, "\(answer.output)")
    let json = try Tool.run(
      ["fill-mask", "run", "the <mask>s like [MASK] .", "a <mask>", "--top-k", "2", "--json"],
      in: folder.path)
    let texts = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [[String: Any]]
    let masks = (texts ?? []).map { ($0["masks"] as? [[Any]] ?? []).map(\.count) }
    #expect(masks == [[2, 2], [2]])

    let again = try pretrain(["--tokenizer", "vocab.txt", "--output", "run"])
    #expect(again.status == 64)
    #expect(again.errors.contains("--resume"))
  }

  @Test func remarksAreShownAndRehearsalsKeepNothing() throws {
    try folder.write(Array(TinyLanguage.text(9).utf8) + [0xFF, 0x0A], to: "text/valid.txt")
    let before = try folder.names()
    for rehearsal in [["--fast-dev-run"], ["--overfit-batches", "1", "--epochs", "2"]] {
      let outcome = try pretrain(["--tokenizer", "vocab.txt"] + rehearsal)
      #expect(outcome.status == 0, "\(outcome.errors)")
      // Who learns some batches by heart is not validated on that text.
      #expect(
        outcome.errors.contains("1 lines with invalid UTF-8, replaced (")
          == (rehearsal == ["--fast-dev-run"]), "\(outcome.errors)")
      #expect(try folder.names() == (before + ["cache"]).sorted())
    }
  }

  /// Stopped by Ctrl-C or killed at any moment, and resumed: the weights of an undisturbed run.
  @Test(arguments: [SIGINT, SIGKILL]) func resumedRunEqualsUndisturbed(_ signal: Int32) throws {
    let more = [
      "--tokenizer", "vocab.txt", "--epochs", "40", "--save-every", "1", "--ema-decay", "0.9",
    ]
    let whole = try pretrain(["--output", "whole"] + more)
    #expect(whole.status == 0, "\(whole.errors)")
    let process = try Tool.start(
      Self.arguments + ["--output", "parts"] + more, in: folder.path)
    try Tool.wait(for: process) {
      FileManager.default.fileExists(atPath: folder("parts/last/state.json"))
    }
    kill(process.processIdentifier, signal)
    process.waitUntilExit()
    #expect(process.terminationStatus == (signal == SIGINT ? 130 : SIGKILL))
    let resumed = try Tool.run(
      ["pretrain", "--resume", "--output", "parts", "--threads", "1"], in: folder.path)
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(resumed.errors.contains("steps done"))
    for file in ["model", "optimizer"] {
      let weights = try folder.bytes("parts/last/\(file).safetensors")
      #expect(try weights == folder.bytes("whole/last/\(file).safetensors"), "\(file)")
    }
  }

  @Test(arguments: [
    (["--output", "run"], Int32(64), "--tokenizer"),
    (["--tokenizer", "vocab.txt"], 64, "--output"),
    (["--tokenizer", "none.txt", "--output", "run"], 66, "none.txt"),
    (["--tokenizer", "empty.txt", "--output", "run"], 65, "empty"),
    (["--tokenizer", "text/train.txt", "--output", "run"], 65, "[UNK]"),
    (["--tokenizer", "vocab.txt", "--output", "run", "--data", "none"], 66, "none"),
    (
      ["--tokenizer", "vocab.txt", "--output", "run", "--data", "empty.txt"], 65,
      "empty.txt: no text"
    ),
    (
      ["--tokenizer", "vocab.txt", "--output", "run", "--data", "vocab.txt"], 65,
      "too few sequences"
    ),
    (
      ["--tokenizer", "vocab.txt", "--output", "run", "--sequence-length", "2"], 64,
      "sequence length"
    ),
    (
      ["--tokenizer", "vocab.txt", "--output", "run", "--sequence-length", "5000"], 65, "less text"
    ),
    (["--tokenizer", "vocab.txt", "--output", "run", "--masking-rate", "2"], 64, "masking rate"),
    (
      ["--tokenizer", "vocab.txt", "--output", "run", "--set", "deph=2"], 64,
      "did you mean 'depth'?"
    ),
    (
      ["--tokenizer", "vocab.txt", "--output", "run", "--set", "vocabulary=7"], 64,
      "the tokenizer's"
    ),
    (["--tokenizer", "vocab.txt", "--output", "run", "--model", "mixer_s16_224"], 64, "pictures"),
    (["--tokenizer", "vocab.txt", "--output", "run", "--weights", "none"], 66, "none"),
    (["--tokenizer", "vocab.txt", "--output", "run", "--validation", "none"], 66, "none"),
    (["wrong.yaml", "--tokenizer", "vocab.txt", "--output", "run"], 64, "did you mean 'rate'?"),
  ])
  func wrongRunsLeaveNothing(_ arguments: [String], _ status: Int32, _ tells: String) throws {
    try write("", to: "empty.txt")
    try write("text: {masking: {rat: 0.1}}\n", to: "wrong.yaml")
    let outcome = try pretrain(arguments)
    #expect(outcome.status == status, "\(outcome.errors)")
    #expect(outcome.errorLines.count == 1, "\(outcome.errors)")
    #expect(outcome.errors.hasPrefix("mingle: error: "))
    #expect(outcome.errors.contains(tells), "\(outcome.errors)")
    #expect(!(try folder.names().contains("run")))
  }

  @Test func aRunIsResumedByItsOwnRecipeAlone() throws {
    let resume = ["pretrain", "--resume", "--output", "run", "--json"]
    for (flag, value) in [
      "--tokenizer": "vocab.txt", "--validation": "text", "--masking-rate": "0.2",
      "--whole-words": "", "--sequence-length": "8", "--set": "depth=1", "--cache": "cache",
    ] {
      let outcome = try Tool.run(resume + [flag] + (value.isEmpty ? [] : [value]))
      #expect(outcome.status == 64)
      #expect(outcome.errors.contains("own recipe: got \(flag);"), "\(outcome.errors)")
    }
    #expect(try Tool.run(resume).status == 66)
  }

  /// The run's text for validation belongs to its own data.
  @Test func otherDataAreMeasuredThemselves() throws {
    let run = try pretrain([
      "--tokenizer", "vocab.txt", "--output", "run", "--epochs", "1", "--data", "text/train.txt",
      "--validation", "text/valid.txt",
    ])
    #expect(run.status == 0, "\(run.errors)")
    let other = try Tool.run(["evaluate", "run", "--data", "none"], in: folder.path)
    #expect(other.status == 66 && other.errors.contains("none"), "\(other.errors)")
  }

  // MARK: - fill-mask

  @Test func masksThatCannotBeFilled() throws {
    let run = try pretrain(["--tokenizer", "vocab.txt", "--output", "run", "--epochs", "1"])
    #expect(run.status == 0, "\(run.errors)")
    try write(TinyLanguage.vocabularyText + "more\n", to: "more.txt")
    let long = String(repeating: "the ", count: 30) + "<mask>"
    let cases: [([String], Int32, String)] = [
      (["run", "no mask"], 65, "the text has no mask"),
      (["run", long], 65, "longer than the model reads"),
      (["run"], 64, "texts"),
      (["run", "a <mask>", "--top-k", "0"], 64, "--top-k"),
      (["run", "a <mask>", "--tokenizer", "more.txt"], 64, "does not fit"),
      (["run", "a <mask>", "--tokenizer", "none"], 66, "none"),
      (["none", "a <mask>"], 66, "none"),
      (["vocab.txt", "a <mask>"], 65, "vocab.txt"),
    ]
    for (arguments, status, tells) in cases {
      let outcome = try Tool.run(["fill-mask"] + arguments, in: folder.path)
      #expect(outcome.status == status, "\(outcome.errors)")
      #expect(outcome.errorLines.count == 1, "\(outcome.errors)")
      #expect(outcome.errors.contains(tells), "\(outcome.errors)")
      #expect(outcome.output.isEmpty)
    }
  }
}
