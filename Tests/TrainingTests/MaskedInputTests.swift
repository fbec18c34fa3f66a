import Data
import Foundation
import TestSupport
import Testing
import Torch
import Training

/// Recipes for text, and text and vocabularies that cannot be used.
@Suite(.serialized, .ownRoutes) @TorchActor struct MaskedInputTests {
  let tiny: TinyText

  init() throws { tiny = try TinyText() }

  private func error(
    _ change: (inout Recipe) throws -> Void
  ) throws -> MingleError? {
    var recipe = tiny.recipe()
    try change(&recipe)
    let error = #expect(throws: MingleError.self) {
      _ = try Trainer(recipe, in: tiny.folder("runs/none"))
    }
    #expect(!FileManager.default.fileExists(atPath: tiny.folder("runs/none")))
    return error
  }

  // MARK: - Recipes

  @Test func aRecipeSurvivesYAML() throws {
    var recipe = tiny.recipe()
    recipe.text?.validation = "some/text.txt"
    recipe.text?.masking.rate = 0.2
    recipe.text?.masking.maskShare = 0.7
    recipe.text?.masking.randomShare = 0.2
    recipe.text?.masking.wholeWords = true
    recipe.text?.corpus.textField = "body"
    recipe.text?.corpus.documentEnd = .emptyLine
    recipe.text?.corpus.invalidText = .refuse
    let yaml = try recipe.yaml()
    #expect(try Recipe(yaml: yaml) == recipe)
    for line in ["rate: 0.2", "whole_words: true", "document_end: empty_line"] {
      #expect(yaml.contains(line), "\(yaml)")
    }
    let pictures = Recipe(model: "m", data: "d")
    #expect(try Recipe(yaml: pictures.yaml()) == pictures)
  }

  @Test func keysThatAreNotThereKeepTheirDefaults() throws {
    let recipe = try Recipe(
      yaml: """
        model: gmlp_base
        data: wiki
        text:
          tokenizer: wiki.model
          masking: {whole_words: true}
          corpus: {text_field: body}
        """)
    let text = try #require(recipe.text)
    var masking = Masking()
    masking.wholeWords = true
    #expect(text.masking == masking)
    #expect(text.corpus.textField == "body")
    #expect(text.corpus.documentEnd == .file)
    #expect(text.validation == nil)
  }

  @Test(arguments: [
    ("{tokeniser: a}", "'text.tokeniser'; did you mean 'tokenizer'?"),
    ("{zzzzzzzz: 1}", "the keys are: cache, columns, corpus, "),
    ("{masking: {rat: 0.1}}", "'text.masking.rat'; did you mean 'rate'?"),
    ("{corpus: {textfield: a}}", "did you mean 'text_field'?"),
    ("{corpus: {document_end: page}}", "text.corpus.document_end"),
    ("{masking: {rate: many}}", "'text.masking.rate' cannot be read: expected a number"),
    ("[1]", "'text' cannot be read: expected keys with values"),
  ])
  func typingErrorsAreFound(_ text: String, _ tells: String) {
    let error = #expect(throws: MingleError.self) {
      _ = try Recipe(yaml: "model: m\ndata: d\ntext: \(text)")
    }
    #expect(error?.kind == .usage)
    #expect(error?.description.contains(tells) == true, "\(error?.description ?? "")")
  }

  @Test func valuesThatCannotBe() throws {
    let rate = try error { $0.text?.masking.rate = 0 }
    #expect(rate?.what == "masking rate out of range")
    let shares = try error { $0.text?.masking.randomShare = 0.3 }
    #expect(shares?.kind == .usage)
    let vocabulary = try error { $0.settings["vocabulary"] = "7" }
    #expect(vocabulary?.description.contains("expected 7, got 25") == true)
    let task = try error { $0.settings["task"] = "classes" }
    #expect(task?.description.contains("expected masked, got classes") == true)
    let field = try error { $0.settings["dimm"] = "7" }
    #expect(field?.description.contains("'dim'") == true)
  }

  // MARK: - Files

  @Test func aTokenizerMustBeThere() throws {
    let none = try error { $0.text = nil }
    #expect(none?.kind == .usage)
    #expect(none?.next?.contains("--tokenizer") == true)
    let missing = try error { $0.text?.tokenizer = tiny.folder("none.model") }
    #expect(missing?.kind == .missingInput)
    #expect(missing?.place?.hasSuffix("none.model") == true)
    try tiny.write("[UNK]\na\nb\n", to: "plain.txt")
    let plain = try error { $0.text?.tokenizer = tiny.folder("plain.txt") }
    #expect(plain?.description.contains("<cls>") == true, "\(plain?.description ?? "")")
  }

  @Test func thereMustBeEnoughText() throws {
    let missing = try error { $0.data = tiny.folder("none") }
    #expect(missing?.kind == .missingInput)
    let empty = try tiny.write("", to: "empty.txt")
    let nothing = try error { $0.data = empty }
    #expect(nothing?.kind == .badData)
    #expect(nothing?.place == empty)
    #expect(nothing?.what == "no text")
    let short = try tiny.write("the cats like fish .\n", to: "short.txt")
    let little = try error { $0.data = short }
    #expect(little?.description.contains("short.txt: less text than a sequence") == true)
    #expect(little?.expected == "at least 18 tokens")
    // One sequence cannot be in both parts.
    let one = try tiny.write(TinyLanguage.text(4), to: "one.txt")
    let both = try error { $0.data = one }
    #expect(both?.description.contains("one.txt") == true, "\(both?.description ?? "")")
    #expect(both?.next == "name a text for validation")
    let fewer = try error { $0.text?.validation = short }
    #expect(fewer?.description.contains("short.txt") == true)
  }

  @Test func whatIsWrongWithTextIsTold() throws {
    let good = Array(TinyLanguage.text(80).utf8)
    try FileManager.default.createDirectory(
      atPath: tiny.folder("mixed"), withIntermediateDirectories: true)
    try tiny.folder.write(good + [0xFF, 0x0A] + good + [0xC3, 0x28, 0x0A], to: "mixed/bad.txt")
    try tiny.folder.write([], to: "mixed/empty.txt")
    try tiny.folder.write([1, 2, 3], to: "mixed/picture.png")
    var recipe = tiny.recipe()
    recipe.data = tiny.folder("mixed")
    var remarks: [String] = []
    for _ in 0..<2 {  // from the text, and from the tokens that were kept
      try Trainer(recipe, in: nil, rehearsal: .fastRun).run { event in
        if case .started(let plan) = event { remarks = plan.remarks }
        return .proceed
      }
      #expect(
        remarks
          == [
            "2 lines with invalid UTF-8, replaced (bad.txt 2)", "1 empty files (empty.txt)",
            "1 files that are no text (picture.png)",
          ].map { "\(recipe.data): \($0)" })
    }
    let refused = try error {
      $0.data = recipe.data
      $0.text?.corpus.invalidText = .refuse
    }
    #expect(refused?.kind == .badData)
    #expect(
      refused?.description.contains("bad.txt, line 81") == true, "\(refused?.description ?? "")")
  }

  /// Nothing can be masked in a text of unknown words; that is no reason to stop with a wrong message.
  @Test func unknownWordsAreNotLearned() throws {
    let unknown = String(repeating: "zzz yyy ", count: 100)
    var recipe = tiny.recipe()
    recipe.batchSize = 1
    recipe.data = try tiny.write(TinyLanguage.text(60) + unknown, to: "unknown.txt")
    let result = try Trainer(recipe, in: nil).run()
    #expect(try #require(result.last).trainingLoss.isFinite)
    #expect(try #require(result.last).trainingLoss > 0)
  }
}
