import Data
import Foundation
import Inference
import Models
import TestSupport
import Testing
import Torch
import Training

/// Words behind masks, found by a network that a run has left.
@Suite(.serialized, .ownRoutes) @TorchActor struct MaskFillerTests {
  /// A run on the little language, made once.
  private static let trained = Task { @TorchActor in try Trained() }

  private final class Trained: Sendable {
    let folder: TemporaryFolder

    @TorchActor init() throws {
      folder = try TemporaryFolder()
      let vocabulary = try folder.write(Array(TinyLanguage.vocabularyText.utf8), to: "vocab.txt")
      let text = try folder.write(Array(TinyLanguage.text(300).utf8), to: "text.txt")
      var recipe = Recipe(model: "mixer_base", data: text)
      recipe.settings = TinyLanguage.settings(of: "mixer_base")
      recipe.task = .mlm
      recipe.text = TextRecipe()
      recipe.text?.tokenizer = vocabulary
      recipe.text?.cache = folder("cache")
      recipe.batchSize = 16
      recipe.epochs = 40
      recipe.schedule.learningRate = 1e-2
      recipe.optimizer.weightDecay = 0
      recipe.workers = 1
      try Trainer(recipe, in: folder("run")).run()
      // A run's folder is enough.
      try FileManager.default.removeItem(atPath: vocabulary)
    }
  }

  private func filler() async throws -> MaskFiller {
    try MaskFiller(await Self.trained.value.folder("run"))
  }

  /// As much text as the network has learned to read at once.
  private func around(_ sentence: String) -> String {
    "the cats like fish . \(sentence) the dogs like bones ."
  }

  @Test func findsWhatBelongsTogether() async throws {
    let filler = try await filler()
    for animal in ["fox", "hen", "bee"] {
      let food = try #require(TinyLanguage.food(of: animal))
      let text = around("the \(animal)s like <mask> .")
      let best = try #require(filler.fill(text).first?.first)
      #expect(best.token == food)
      #expect(best.piece == food)
      #expect(best.probability > 0.5)
      #expect(best.text == around("the \(animal)s like \(food) ."))
    }
  }

  @Test func candidatesAreSortedAndNeverSpecial() async throws {
    let filler = try await filler()
    let all = try #require(filler.fill("the cats like <mask> .", top: 1000).first)
    #expect(all.count == TinyLanguage.vocabulary.count - 5)
    #expect(Set(all.map(\.id)).count == all.count)
    #expect(!all.contains { $0.id < 5 })
    let probabilities = all.map(\.probability)
    #expect(probabilities == probabilities.sorted(by: >))
    let sum = probabilities.reduce(0, +)
    #expect(sum > 0.9 && sum <= 1 + 1e-5, "\(sum)")
    #expect(try filler.fill("the cats like <mask> .", top: 3).first == Array(all.prefix(3)))
    #expect(try filler.fill("the cats like <mask> .", top: .max).first == all)
  }

  @Test func masksAreWrittenInTwoWays() async throws {
    let filler = try await filler()
    let two = try filler.fill(around("the <mask>[MASK] like eggs ."), top: 1).map { $0[0] }
    #expect(two.map(\.piece) == ["fox", "##s"])
    #expect(two.map(\.token) == ["fox", "s"])
    // Each fills its own mask; the other stays.
    #expect(two[0].text == around("the fox<mask> like eggs ."))
    #expect(two[1].text == around("the <mask>s like eggs ."))
    // A piece that goes on with a word takes the space before it away.
    for text in ["the fox<mask> like eggs .", "the fox [MASK] like eggs ."] {
      let best = try filler.fill(around(text), top: 1)[0][0]
      #expect(best.text == around("the foxs like eggs ."))
    }
  }

  @Test func textsThatCannotBeFilled() async throws {
    let filler = try await filler()
    func error(_ text: String) -> MingleError? {
      #expect(throws: MingleError.self) { try filler.fill(text) }
    }
    for text in ["", "the cats like fish ."] {
      #expect(error(text)?.kind == .badData)
      #expect(error(text)?.what == "the text has no mask")
    }
    // 17 words, one mask and two special tokens are just what the model reads.
    let words = Array(repeating: "the", count: 17).joined(separator: " ")
    #expect(try filler.fill(words + " <mask>", top: 1).count == 1)
    let long = error(words + " the <mask>")
    #expect(long?.kind == .badData)
    #expect(long?.expected == "at most 20 tokens" && long?.got == "21")
    #expect(error(String(repeating: "the ", count: 10_000))?.description.count ?? 0 < 300)
  }

  @Test func tokenizerAndTaskMustFit() async throws {
    let folder = try await Self.trained.value.folder
    let scratch = try TemporaryFolder()
    func error(_ path: String, tokenizer: String? = nil) -> MingleError? {
      #expect(throws: MingleError.self) {
        _ = try MaskFiller(LoadedLanguageModel(path, tokenizer: tokenizer))
      }
    }
    let turned = TinyLanguage.vocabulary.prefix(5) + TinyLanguage.vocabulary.dropFirst(5).reversed()
    let other = try scratch.write(Array(turned.joined(separator: "\n").utf8), to: "vocab.txt")
    let wrong = error(folder("run"), tokenizer: other)
    #expect(wrong?.what == "the tokenizer is not the one that the weights learned")
    let more = try scratch.write(Array((TinyLanguage.vocabularyText + "x\n").utf8), to: "more.txt")
    #expect(error(folder("run"), tokenizer: more)?.got == "26")
    #expect(error(folder("run"), tokenizer: scratch("none.txt"))?.kind == .missingInput)
    #expect(error(scratch("none"))?.kind == .missingInput)

    let weights = try folder.bytes("run/best/model.safetensors")
    try FileManager.default.createDirectory(
      atPath: scratch("alone"), withIntermediateDirectories: true)
    let alone = try scratch.write(weights, to: "alone/model.safetensors")
    #expect(error(alone)?.what == "no tokenizer lies beside the weights")
    let known = try MaskFiller(
      LoadedLanguageModel(alone, tokenizer: folder("run/best/vocab.txt")))
    #expect(try known.fill(around("the foxs like <mask> ."))[0][0].token == "eggs")

    var settings = TinyLanguage.settings(of: "gmlp_base")
    settings["vocabulary"] = "\(TinyLanguage.vocabulary.count)"
    settings["task"] = "classes"
    let classifier = try LanguageCheckpoint.fresh(
      "gmlp_base", settings: settings, generator: Generator(seed: 1))
    let task = #expect(throws: MingleError.self) {
      _ = try MaskFiller(
        LoadedLanguageModel(
          classifier, tokenizer: openTokenizer(at: folder("run/best/vocab.txt"))))
    }
    #expect(task?.what == "the model was trained for another task")
  }

  /// SentencePiece writes words with the space before them.
  @Test func piecesOfSentencePieceAreJoined() async throws {
    let scratch = try TemporaryFolder()
    let corpus = try scratch.write(Array(TinyLanguage.text(300).utf8), to: "text.txt")
    try trainTokenizer(
      TokenizerTraining(.unigram, vocabularySize: 34), files: [corpus],
      output: scratch("made.model"))
    let tokenizer = try openTokenizer(at: scratch("made.model"))
    var settings = TinyLanguage.settings(of: "gmlp_base")
    settings["vocabulary"] = "\(tokenizer.vocabularySize)"
    let checkpoint = try LanguageCheckpoint.fresh(
      "gmlp_base", settings: settings, generator: Generator(seed: 1))
    let filler = try MaskFiller(LoadedLanguageModel(checkpoint, tokenizer: tokenizer))
    let candidates = try filler.fill("the cats <mask> fish .", top: 50)[0]
    #expect(candidates.count == 29)
    for candidate in candidates {
      let begins = candidate.piece.hasPrefix("\u{2581}")
      let text = "the cats" + (begins ? " " : "") + candidate.token + " fish ."
      #expect(candidate.text == text)
      #expect(!candidate.token.contains("\u{2581}"))
    }
    let glued = try filler.fill("the cat<mask> like fish .", top: 50)[0]
    for candidate in glued where candidate.piece.hasPrefix("\u{2581}") {
      #expect(candidate.text == "the cat " + candidate.token + " like fish .")
    }
  }
}
