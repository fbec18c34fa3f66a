import Foundation
import Mingle
import TestSupport
import Testing

/// `mingle train --task text` and `--task questions`, `evaluate`, `predict --text` and `ask` from the
/// outside.
@Suite(.serialized) struct FineTuningTests {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try write(TinyLanguage.vocabularyText, to: "vocab.txt")
    let rows = TinyLanguage.text(120).split(separator: "\n")
      .map { "\($0)\t\($0.contains("cat") || $0.contains("fox") ? "yes" : "no")\n" }
    try write("sentence\tlabel\n" + rows.joined(), to: "texts/train.tsv")
    try write("sentence\tlabel\n" + rows.prefix(40).joined(), to: "texts/dev.tsv")
    try write(
      """
      {"version": "1.1", "data": [{"paragraphs": [
        {"context": "the cats like fish .", "qas": [{"id": "a", "question": "the cats like",
          "answers": [{"text": "fish", "answer_start": 14}]}]},
        {"context": "the foxs like eggs .", "qas": [{"id": "b", "question": "the foxs like",
          "answers": [{"text": "eggs", "answer_start": 14}]}]}
      ]}]}
      """, to: "squad/train-v1.1.json")
    try FileManager.default.copyItem(
      atPath: folder("squad/train-v1.1.json"), toPath: folder("squad/dev-v1.1.json"))
  }

  private func write(_ text: String, to name: String) throws {
    try folder.write(Array(text.utf8), to: name)
  }

  private func train(_ arguments: [String]) throws -> Tool.Outcome {
    try Tool.run(
      [
        "train", "--model", "gmlp_base", "--tokenizer", "vocab.txt", "--batch-size", "8",
        "--learning-rate", "1e-2", "--workers", "1", "--threads", "1", "--set", "depth=2",
        "dim=32", "ffn_dim=64", "sequence_length=20",
      ] + arguments, in: folder.path)
  }

  @Test func classesTheWholeWay() throws {
    let run = try train(["--task", "text", "--data", "texts", "--output", "run", "--epochs", "6"])
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.hasPrefix("best accuracy 100.00 %"), "\(run.output)")
    #expect(
      run.errorLines.first?.contains("120 training and 40 validation texts, 2 classes") == true)
    try FileManager.default.removeItem(atPath: folder("vocab.txt"))

    let measured = try Tool.run(["evaluate", "run", "--data", "texts"], in: folder.path)
    #expect(measured.status == 0, "\(measured.errors)")
    #expect(measured.output.hasPrefix("100.00 % right, F1 1.000"), "\(measured.output)")
    let json = try Tool.run(["evaluate", "run", "--data", "texts", "--json"], in: folder.path)
    #expect(json.output.contains("\"matthews\""))

    let answer = try Tool.run(
      [
        "predict", "run", "--text", "the cats like fish .", "--text", "the hens like corn .",
        "--top-k", "1",
      ], in: folder.path)
    #expect(answer.status == 0, "\(answer.errors)")
    let lines = answer.output.split(separator: "\n")
    try #require(lines.count == 4)
    #expect(lines[1].hasSuffix(" %  yes") && lines[3].hasSuffix(" %  no"), "\(answer.output)")
    let long = String(repeating: "the cats like fish . ", count: 9)
    let cut = try Tool.run(["predict", "run", "--text", long], in: folder.path)
    #expect(cut.status == 0 && cut.errors.contains("longer than 20 tokens, cut"))
  }

  @Test func questionsTheWholeWay() throws {
    let run = try train([
      "--task", "questions", "--data", "squad", "--output", "run", "--epochs", "60",
    ])
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.hasPrefix("best F1 100.00 in epoch "), "\(run.output)")
    let measured = try Tool.run(["evaluate", "run", "--data", "squad"], in: folder.path)
    #expect(measured.output.hasPrefix("exact match 100.00, F1 100.00, 2 questions"))
    try write("the cats like fish .", to: "text.txt")
    let answer = try Tool.run(
      ["ask", "run", "--context", "text.txt", "the cats like"], in: folder.path)
    #expect(answer.status == 0, "\(answer.errors)")
    #expect(answer.output.contains(" %  fish"), "\(answer.output)")
    let json = try Tool.run(
      ["ask", "run", "--context", "text.txt", "the cats like", "--json"], in: folder.path)
    #expect(json.output.contains("\"answer\" : \"fish\""), "\(json.output)")
  }

  @Test func wrongInput() throws {
    let run = try train(["--task", "text", "--data", "texts", "--output", "run", "--epochs", "1"])
    #expect(run.status == 0, "\(run.errors)")
    try write("sentence\tlabel\nthe cats\tmaybe\n", to: "maybe.tsv")
    try write("sentence\tlabel\n", to: "empty.tsv")
    try write("", to: "nothing.txt")
    try folder.write([0x61, 0xFF, 0x62], to: "latin.txt")
    let cases: [(arguments: [String], status: Int32, tells: String)] = [
      (["predict", "run"], 64, "--text"),
      (["predict", "run", "rose.jpg"], 64, "reads text"),
      (
        ["predict", "run", "--text", "a", "--text", "b", "--pair", "c"], 64, "2 --text but 1 --pair"
      ),
      (["evaluate", "run", "--data", "maybe.tsv"], 65, "maybe"),
      (["evaluate", "run", "--data", "empty.tsv"], 65, "empty.tsv"),
      (["evaluate", "run", "--data", "none"], 66, "none"),
      (["ask", "run", "--context", "latin.txt", "who"], 65, "no UTF-8"),
      (["ask", "run", "--context", "none.txt", "who"], 66, "none.txt"),
      (["ask", "run", "--context", "texts/dev.tsv", "who"], 64, "mingle predict --text"),
      (["fill-mask", "run", "the <mask>"], 64, "mingle predict --text"),
      (["train", "--task", "text", "--model", "gmlp_base", "--data", "texts"], 64, "--output"),
      (
        ["train", "--task", "text", "--model", "gmlp_base", "--data", "texts", "--output", "new"],
        64, "tokenizer"
      ),
      (
        ["train", "--model", "gmlp_base", "--data", "texts", "--output", "new"], 64, "--task text"
      ),
    ]
    for (arguments, status, tells) in cases {
      let outcome = try Tool.run(arguments, in: folder.path)
      #expect(outcome.status == status, "\(arguments): \(outcome.errors)")
      #expect(outcome.errors.contains(tells), "\(arguments): \(outcome.errors)")
      #expect(outcome.errorLines.count == 1, "\(arguments): \(outcome.errors)")
      #expect(outcome.output.isEmpty)
    }
    #expect(!FileManager.default.fileExists(atPath: folder("new")))
  }
}
