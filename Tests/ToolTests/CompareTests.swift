import Foundation
import TestSupport
import Testing

/// `mingle compare` from the outside.
@Suite(.serialized) struct CompareTests {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try write(TinyLanguage.text(300), to: "text.txt")
    try write(TinyLanguage.vocabularyText, to: "vocab.txt")
    try write(recipe(), to: "compare.yaml")
  }

  private func write(_ text: String, to name: String) throws {
    try folder.write(Array(text.utf8), to: name)
  }

  private func recipe(second: String = "amlp_base", epochs: Int = 1) -> String {
    """
    title: Two
    epochs: \(epochs)
    batch_size: 16
    workers: 1
    save_every: 1
    settings: {sequence_length: 20, depth: 1, dim: 16, ffn_dim: 32}
    text: {cache: cache}
    runs:
    - {name: plain, model: gmlp_base}
    - {name: attentive, model: \(second), settings: {attention_dim: 8}}
    """
  }

  private static let arguments = [
    "compare", "--task", "mlm", "compare.yaml", "--data", "text.txt", "--tokenizer", "vocab.txt",
    "--threads", "1", "--output",
  ]

  private func compare(_ arguments: [String]) throws -> Tool.Outcome {
    try Tool.run(Self.arguments + arguments, in: folder.path)
  }

  @Test func aTableAndAPageAreMade() throws {
    let outcome = try compare(["out"])
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.errors.contains("plain (1 of 2):"))
    #expect(outcome.errors.contains("attentive (2 of 2):"))
    let names = try FileManager.default.contentsOfDirectory(atPath: folder("out")).sorted()
    #expect(names == ["attentive", "plain", "report.html", "table.json", "table.md"])
    #expect(outcome.output == String(decoding: try folder.bytes("out/table.md"), as: UTF8.self))
    #expect(outcome.output.hasPrefix("| Network | Parameters | Multiply-adds per token |"))
    #expect(outcome.output.contains("| plain |") && outcome.output.contains("| attentive |"))

    // What is done is not repeated.
    let again = try compare(["out", "--json"])
    #expect(again.status == 0, "\(again.errors)")
    #expect(!again.errors.contains("epoch 1/1"))
    let table = try JSONSerialization.jsonObject(with: Data(again.output.utf8)) as? [String: Any]
    #expect((table?["rows"] as? [Any])?.count == 2)
    let answer = try Tool.run(["fill-mask", "out/plain", "the <mask>s"], in: folder.path)
    #expect(answer.status == 0, "\(answer.errors)")
  }

  @Test(arguments: [SIGINT, SIGKILL]) func aStoppedComparisonGoesOn(_ signal: Int32) throws {
    try write(recipe(epochs: 40), to: "compare.yaml")
    #expect(try compare(["whole"]).status == 0)
    let process = try Tool.start(Self.arguments + ["parts"], in: folder.path)
    try Tool.wait(for: process) {
      FileManager.default.fileExists(atPath: folder("parts/plain/last/state.json"))
    }
    kill(process.processIdentifier, signal)
    process.waitUntilExit()
    #expect(process.terminationStatus == (signal == SIGINT ? 130 : SIGKILL))
    #expect(!FileManager.default.fileExists(atPath: folder("parts/table.md")))
    let resumed = try compare(["parts"])
    #expect(resumed.status == 0, "\(resumed.errors)")
    for name in ["plain", "attentive"] {
      let file = "\(name)/last/model.safetensors"
      #expect(try folder.bytes("parts/\(file)") == folder.bytes("whole/\(file)"), "\(name)")
    }
  }

  @Test func wrongComparisonsLeaveNothing() throws {
    let two = """
      settings: {sequence_length: 20, depth: 1, dim: 16, ffn_dim: 32}
      text: {cache: cache}
      runs:
      - {name: a, model: gmlp_base}
      - {name: b, model: gmlp_base
      """
    let cases: [(String, Int32, String)] = [
      ("epochs: 1\n", 64, "compare.yaml: no comparison"),
      (two + "}\n- {name: a}\n", 64, "two runs have the same name"),
      (two + ", epoch: 1}\n", 64, "run 'b', line 5: the recipe has no key 'epoch'"),
      (two + ", settings: {deph: 1}}\n", 64, "run 'b'"),
      (two + ", batch_size: 0}\n", 64, "run 'b': batch_size is out of range"),
      (recipe(second: "mixer_s16_224"), 64, "run 'attentive': mixer_s16_224 reads pictures"),
      ("runs: [", 65, "compare.yaml: no valid YAML"),
    ]
    let before = try folder.names()
    for (text, status, tells) in cases {
      try write(text, to: "compare.yaml")
      let outcome = try compare(["out"])
      #expect(outcome.status == status, "\(outcome.errors)")
      #expect(outcome.errorLines.count == 1, "\(outcome.errors)")
      #expect(outcome.errors.contains(tells), "\(outcome.errors)")
      #expect(outcome.output.isEmpty)
      #expect(Set(try folder.names()).subtracting(before).isSubset(of: ["cache"]))
    }
    let missing = try Tool.run(
      ["compare", "none.yaml", "--data", "text.txt", "--output", "out"], in: folder.path)
    #expect(missing.status == 66)
    #expect(missing.errors.contains("none.yaml"))
    try write(recipe(), to: "compare.yaml")
    let data = try Tool.run(["compare", "compare.yaml", "--output", "out"], in: folder.path)
    #expect(data.status == 64 && data.errors.contains("--data"), "\(data.errors)")
    let tokenizer = try Tool.run(
      ["compare", "compare.yaml", "--task", "mlm", "--data", "text.txt", "--output", "out"],
      in: folder.path)
    #expect(tokenizer.status == 64 && tokenizer.errors.contains("--tokenizer"))
  }
}
