import Checkpoints
import Foundation
import TestSupport
import Testing
import Torch
import Training

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// Several networks on one text.
@Suite(.serialized, .ownRoutes) @TorchActor struct ComparisonTests {
  let tiny: TinyText

  init() throws { tiny = try TinyText() }

  private var folder: String { tiny.folder("runs/compare") }

  private static let twoRuns = """
    - {name: gMLP small, model: gmlp_base}
    - {name: bert, model: bert_base, settings: {heads: 2}}
    """

  /// Two networks; `title` needs escaping in a page.
  private func comparison(
    _ runs: String = twoRuns, epochs: Int = 1, more: String = ""
  ) throws -> Comparison {
    let yaml = """
      title: Fish & <chips>
      task: mlm
      data: \(tiny.folder("text"))
      epochs: \(epochs)
      batch_size: 16
      workers: 1
      settings: {sequence_length: 20, depth: 1, dim: 16, ffn_dim: 32}
      text:
        tokenizer: \(tiny.folder("vocab.txt"))
        cache: \(tiny.folder("cache"))
      \(more)
      """
    let list = runs.hasPrefix("-") ? "\n\(runs)" : " \(runs)"
    return try Comparison(yaml: "\(yaml)\nruns:\(list)", from: "compare.yaml")
  }

  private func error(_ runs: String = twoRuns, more: String = "") -> MingleError? {
    #expect(throws: MingleError.self) {
      try comparison(runs, more: more).run(in: folder)
    }
  }

  private func weights(in folder: String) throws -> [String: [Float]] {
    let archive = try openTensorArchive(at: "\(folder)/last/model.safetensors")
    return try archive.tensors().mapValues { $0.array(of: Float.self) }
  }

  /// Correlations are no shares, also those of one of several parts.
  @Test func partsOfTextsAreColumns() throws {
    let rows = TinyLanguage.text(40).split(separator: "\n")
      .map { "\($0)\t\($0.contains("cat") ? "yes" : "no")\n" }
    for part in ["train", "dev_a", "dev_b"] {
      try tiny.write("sentence\tlabel\n" + rows.joined(), to: "texts/\(part).tsv")
    }
    var compared = try comparison("- {name: a, model: gmlp_base}")
    compared.entries[0].recipe.task = .text
    compared.entries[0].recipe.data = tiny.folder("texts")
    let table = try compared.run(in: folder).markdown
    // Accuracy and macro F1 of both parts, and of all.
    #expect(table.components(separatedBy: " %").count - 1 == 6, "\(table)")
    #expect(table.contains("Matthews dev a"))
  }

  @Test func aRunChangesWhatIsCommon() throws {
    let entries = try comparison(
      "- {name: a, model: gmlp_base, epochs: 3}\n"
        + "- name: b\n  model: amlp_base\n  settings: {depth: 2}\n  text: {masking: {rate: 0.3}}"
    ).entries
    #expect(entries.map(\.name) == ["a", "b"])
    #expect(entries.map(\.recipe.epochs) == [3, 1])
    #expect(entries.map { $0.recipe.settings["depth"] } == ["1", "2"])
    #expect(entries.map { $0.recipe.settings["dim"] } == ["16", "16"])
    #expect(entries.map { $0.recipe.text?.masking.rate } == [0.15, 0.3])
    #expect(entries[1].recipe.text?.tokenizer == tiny.folder("vocab.txt"))
  }

  @Test(arguments: [
    ("- {name: a, model: gmlp_base}\n- {name: A, model: bert_base}", "two runs have the same name"),
    ("- {model: gmlp_base}", "a run has no name"),
    ("- {name: ../a, model: gmlp_base}", "a run has no name, or one that its folder cannot have"),
    ("- {name: Table.md, model: gmlp_base}", "its folder cannot have"),
    ("- gmlp_base", "a run has no name"),
    ("[]", "compare.yaml: no comparison"),
    ("{a: b}", "no comparison"),
    (
      "- {name: a, model: gmlp_base, epoch: 2}", "compare.yaml, run 'a', line 13: the recipe has no"
    ),
    ("- {name: a, model: gmlp_base, epochs: two}", "run 'a': the recipe's 'epochs' cannot be read"),
    ("- {name: a", "compare.yaml: no valid YAML: "),
  ])
  func mistakesInTheFileAreFound(_ runs: String, _ tells: String) {
    let line = error(runs)?.description ?? ""
    #expect(line.contains(tells), "\(line)")
    #expect(!FileManager.default.fileExists(atPath: folder))
  }

  @Test func aCommonKeyIsChecked() {
    let line = error(more: "batchsize: 3")?.description ?? ""
    #expect(
      line == "compare.yaml, line 11: the recipe has no key 'batchsize'; "
        + "did you mean 'batch_size'?")
    let none = #expect(throws: MingleError.self) {
      _ = try Comparison(contentsOf: tiny.folder("none.yaml"))
    }
    #expect(none?.kind == .missingInput)
  }

  /// What the last run cannot do is told before the first is trained.
  @Test(arguments: [
    ("{name: b, model: gmlp_bas}", "run 'b': no model"),
    ("{name: b}", "run 'b': no model is named"),
    ("{name: b, model: gmlp_base, settings: {dim: 0}}", "run 'b': dim is out of range"),
    ("{name: b, model: gmlp_base, epochs: 0}", "run 'b': epochs is out of range"),
    ("{name: b, model: gmlp_base, text: {tokenizer: /none.txt}}", "run 'b', /none.txt: "),
  ])
  func aBadRunIsFoundBeforeAnyIsTrained(_ run: String, _ tells: String) {
    let line = error("- {name: a, model: gmlp_base}\n- \(run)")?.description ?? ""
    #expect(line.hasPrefix(tells), "\(line)")
    #expect(!FileManager.default.fileExists(atPath: folder))
  }

  @Test func aStoppedComparisonGoesOn() throws {
    try comparison().run(in: tiny.folder("runs/whole"))
    var seen: [String] = []
    let stopped = #expect(throws: MingleError.self) {
      try comparison().run(in: folder) { name, event in
        if case .step(let report) = event {
          seen.append(name)
          if name == "bert", report.step == 3 { return .stop }
        }
        return .proceed
      }
    }
    #expect(stopped?.kind == .interrupted)
    #expect(stopped?.what == "the comparison was stopped in 'bert'")
    #expect(Set(seen) == ["gMLP small", "bert"])
    #expect(!FileManager.default.fileExists(atPath: "\(folder)/table.md"))

    seen = []
    try comparison().run(in: folder) { name, event in
      if case .step = event { seen.append(name) }
      return .proceed
    }
    #expect(seen == Array(repeating: "bert", count: 4))
    for name in ["gMLP small", "bert"] {
      #expect(
        try weights(in: "\(folder)/\(name)") == weights(in: tiny.folder("runs/whole/\(name)")))
    }
    // All is done: nothing is trained, and the table is the same.
    let table = try tiny.text("runs/compare/table.md")
    try comparison().run(in: folder) { _, event in
      if case .step = event { Issue.record("trained again") }
      return .proceed
    }
    #expect(try tiny.text("runs/compare/table.md") == table)

    let other = error(more: "seed: 5")
    #expect(other?.kind == .usage)
    #expect(other?.description.hasPrefix("run 'gMLP small', ") == true)
  }

  @Test func theTableTellsAll() throws {
    let result = try comparison().run(in: folder)
    #expect(try tiny.text("runs/compare/table.md") == result.markdown)
    let lines = result.markdown.split(separator: "\n")
    #expect(lines.count == 4)
    #expect(
      lines[0] == "| Network | Parameters | Multiply-adds per token | Tokens read | Perplexity "
        + "| Accuracy | Tokens/s | Training |")
    #expect(lines[1] == "|---|--:|--:|--:|--:|--:|--:|--:|")
    let rows = lines.dropFirst(2).map { line in
      line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
    }
    #expect(rows.map { $0[0] } == ["gMLP small", "bert"])
    for (row, result) in zip(rows, result.rows) {
      let small = result.parameters % 1000
      #expect(row[1] == "\(result.parameters / 1000),\(String(format: "%03d", small))")
      #expect(result.units == 2000 && row[3] == "2,000", "100 sequences of 20 tokens")
      #expect(row[5].hasSuffix(" %"))
    }

    let json = try #require(
      try JSONSerialization.jsonObject(with: Data(tiny.folder.bytes("runs/compare/table.json")))
        as? [String: Any])
    #expect(json["title"] as? String == "Fish & <chips>")
    let first = try #require((json["rows"] as? [[String: Any]])?.first)
    #expect(
      Set(first.keys) == [
        "name", "model", "parameters", "multiply_adds", "units", "best_epoch", "validation",
        "units_per_second", "seconds",
      ])
    #expect(first["model"] as? String == "gmlp_base")
    let validation = try #require(first["validation"] as? [String: Any])
    #expect((validation["perplexity"] as? Double ?? 0) > 1)
  }

  @Test func thePageShowsAllCurves() throws {
    try comparison(epochs: 2).run(in: folder)
    let page = try tiny.text("runs/compare/report.html")
    #expect(XMLParser(data: Data(page.utf8)).parse(), "not well-formed")
    #expect(page.contains("<title>Fish &amp; &lt;chips&gt;</title>"))
    #expect(page.contains("<th scope=\"row\">gMLP small</th>"))
    for title in ["Validation perplexity", "Validation accuracy", "Training loss"] {
      #expect(page.contains("<b>\(title)</b>"), "\(title)")
    }
    for color in ["one", "two"] {
      let curves = page.components(separatedBy: "<polyline class=\"\(color)\"").count - 1
      #expect(curves == 4, "a curve for each network in each chart")
    }
  }

  @Test func oneThingIsCompared() {
    let line =
      error("- {name: a, model: gmlp_base}\n- {name: b, model: mixer_s16_224, task: images}")?
      .description ?? ""
    #expect(line.hasPrefix("run 'b': the runs learn different things: expected mlm, got images"))
    let model = error("- {name: a, model: mixer_s16_224}")?.description ?? ""
    #expect(model.hasPrefix("run 'a': mixer_s16_224 reads pictures"), "\(model)")
  }
}
