import Checkpoints
import Data
import Foundation
import Models
import TestSupport
import Testing
import Torch
import Training

/// Whole runs of language models that learn masked tokens.
@Suite(.serialized, .ownRoutes) @TorchActor struct MaskedTrainingTests {
  let tiny: TinyText

  init() throws { tiny = try TinyText() }

  private func run(_ name: String) -> String { tiny.folder("runs/\(name)") }

  private func weights(of name: String) throws -> [String: [Float]] {
    var values: [String: [Float]] = [:]
    for file in ["model", "optimizer"] {
      let archive = try openTensorArchive(at: "\(run(name))/last/\(file).safetensors")
      for (key, tensor) in try archive.tensors() {
        values["\(file):\(key)"] = tensor.array(of: Float.self)
      }
    }
    return values
  }

  /// Everything that has a state: dropout, moments, averages, groups of batches.
  private func recipeWithState() -> Recipe {
    var recipe = tiny.recipe()
    recipe.settings["dropout"] = "0.1"
    recipe.emaDecay = 0.9
    recipe.accumulation = 2
    recipe.batchSize = 8
    return recipe
  }

  private func perplexity(_ report: EpochReport?) throws -> Double {
    guard case .masked(let masked) = try #require(report).validation else {
      throw MingleError(.failed, "no report about masks")
    }
    return masked.perplexity
  }

  // MARK: - Learning

  /// Chance is 25, and who knows how often each token comes has more than 9.
  @Test(arguments: ["gmlp_base", "amlp_base", "bert_base", "mixer_base"])
  func aModelLearnsALanguage(_ model: String) throws {
    var recipe = tiny.recipe(model)
    recipe.epochs = 12
    recipe.schedule.learningRate = 1e-2
    recipe.optimizer.weightDecay = 0
    var first: Double?
    let result = try Trainer(recipe, in: nil).run { event in
      if case .step(let report) = event, first == nil { first = report.loss }
      return .proceed
    }
    let start = try #require(first)
    #expect(start > 2.8, "\(start)")
    let end = try perplexity(result.best)
    #expect(end < 3.5, "\(end)")
  }

  @Test func aFewBatchesAreLearnedByHeart() throws {
    var recipe = tiny.recipe()
    recipe.epochs = 60
    recipe.schedule.learningRate = 1e-2
    recipe.batchSize = 4
    let result = try Trainer(recipe, in: nil, rehearsal: .overfit(batches: 1)).run()
    let end = try perplexity(result.last)
    #expect(end < 1.1, "\(end)")
  }

  @Test func halfPrecisionTrains() throws {
    var recipe = tiny.recipe()
    recipe.precision = .bfloat16
    let result = try Trainer(recipe, in: run("none"), rehearsal: .fastRun).run()
    let last = try #require(result.last)
    #expect(last.step == 2)
    #expect(last.trainingLoss > 2 && last.trainingLoss < 5)
    #expect(!FileManager.default.fileExists(atPath: run("none")))
  }

  // MARK: - Resuming

  @Test(arguments: [1, 4, 9]) func aStoppedRunEndsLikeOneThatWasNot(_ steps: Int) throws {
    try Trainer(recipeWithState(), in: run("whole")).run()
    let stopped = try Trainer(recipeWithState(), in: run("parts")).run { event in
      if case .step(let report) = event, report.step == steps { .stop } else { .proceed }
    }
    #expect(stopped.wasStopped)
    #expect(!(try Trainer(resuming: run("parts")).run()).wasStopped)
    let whole = try weights(of: "whole")
    #expect(try weights(of: "parts") == whole)
    #expect(whole.count > 20)
  }

  /// What is lost after the last save in the middle of an epoch is done again.
  @Test func aBrokenRunEndsLikeOneThatWasNot() throws {
    struct Crash: Error {}
    try Trainer(recipeWithState(), in: run("whole")).run()
    var recipe = recipeWithState()
    recipe.saveEvery = 2
    #expect(throws: Crash.self) {
      try Trainer(recipe, in: run("parts")).run { event in
        if case .step(let report) = event, report.step == 4 { throw Crash() }
        return .proceed
      }
    }
    var first: Int?
    try Trainer(resuming: run("parts")).run { event in
      if case .step(let report) = event, first == nil { first = report.step }
      return .proceed
    }
    #expect(first == 3)
    #expect(try weights(of: "parts") == weights(of: "whole"))
  }

  @Test func aVocabularyOfAnyNameStaysOne() throws {
    try tiny.write(TinyLanguage.vocabularyText, to: "bert-vocabulary")
    try tiny.write(#"{"do_lower_case": false}"#, to: "tokenizer_config.json")
    var recipe = tiny.recipe()
    recipe.text?.tokenizer = tiny.folder("bert-vocabulary")
    recipe.epochs = 1
    try Trainer(recipe, in: run("named")).run()
    let names = try FileManager.default.contentsOfDirectory(atPath: "\(run("named"))/best")
    #expect(Set(names).isSuperset(of: ["vocab.txt", "tokenizer_config.json"]))
  }

  @Test func aRunGoesOnWithItsOwnTokensAlone() throws {
    try Trainer(tiny.recipe(), in: run("whole")).run()
    for name in ["text", "places"] {
      try Trainer(tiny.recipe(), in: run(name)).run { event in
        if case .step = event { .stop } else { .proceed }
      }
    }
    // As many sequences of other text.
    try tiny.write(TinyLanguage.text(300, seed: 9), to: "text/train.txt")
    let refused = #expect(throws: MingleError.self) { _ = try Trainer(resuming: run("text")) }
    #expect(refused?.what == "the data are not those that the run began with")
    try tiny.write(TinyLanguage.text(300), to: "text/train.txt")
    // The same text at another place is as good, and the tokenizer is the run's own.
    try FileManager.default.moveItem(
      atPath: tiny.folder("text"), toPath: tiny.folder("moved"))
    try tiny.write("[UNK]\nother\n", to: "vocab.txt")
    let configuration = try tiny.text("runs/places/config.yaml")
      .replacing("data: \(tiny.folder("text"))", with: "data: \(tiny.folder("moved"))")
      .replacing("/cache", with: "/other-cache")
    try tiny.write(configuration, to: "runs/places/config.yaml")
    try Trainer(resuming: run("places")).run()
    #expect(try weights(of: "places") == weights(of: "whole"))
  }

  // MARK: - Measuring

  @Test func theValidationMaskIsFixed() throws {
    var results: [Double] = []
    for batchSize in [3, 16] {
      var recipe = tiny.recipe()
      recipe.optimizer = .sgd
      recipe.optimizer.weightDecay = 0
      recipe.schedule = Schedule(.constant, learningRate: 1e-30)
      recipe.batchSize = batchSize
      var epochs: [Double] = []
      try Trainer(recipe, in: nil).run { event in
        if case .epoch(let report) = event { epochs.append(try perplexity(report)) }
        return .proceed
      }
      #expect(epochs.count == 2)
      #expect(epochs[0] == epochs[1])
      results.append(epochs[0])
    }
    #expect(abs(results[0] - results[1]) < 1e-4 * results[0], "\(results)")
  }

  /// The first step's loss is that of the loader's batch with these masks.
  @Test func masksAreTheRecipes() throws {
    var losses: [Double] = []
    for wholeWords in [false, true] {
      var recipe = tiny.recipe()
      recipe.text?.masking.wholeWords = wholeWords
      recipe.text?.masking.rate = 0.3
      var first: Double?
      try Trainer(recipe, in: nil).run { event in
        guard case .step(let report) = event else { return .proceed }
        first = report.loss
        return .stop
      }
      let loss = try #require(first)
      let expected = try firstLoss(of: recipe)
      #expect(abs(loss - expected) < 1e-5, "\(loss), expected \(expected)")
      losses.append(loss)
    }
    #expect(losses[0] != losses[1])
  }

  /// The loss of the first batch, without a trainer.
  private func firstLoss(of recipe: Recipe) throws -> Double {
    let text = try #require(recipe.text)
    let tokenizer = try openTokenizer(at: text.tokenizer)
    let corpus = try TokenCorpus(
      TextCorpus(tiny.folder("text/train.txt")), tokenizer: tokenizer, cache: tiny.folder("cache"))
    var options = LoaderOptions.training(batchSize: recipe.batchSize, seed: recipe.seed, workers: 1)
    options.dropsLast = false
    let loader = try MaskedLoader(
      PackedSequences(corpus, length: 20), masking: text.masking, options: options)
    let batch = try #require(try loader.batches(epoch: 0).next())
    var settings = recipe.settings
    settings["vocabulary"] = "\(tokenizer.vocabularySize)"
    let model = try LanguageCheckpoint.fresh(
      recipe.model, settings: settings, generator: Generator(seed: recipe.seed)
    ).model
    let logits = model.maskedLogits(batch.tokens, at: batch.positions, mask: batch.mask)
    return logits.crossEntropy(batch.labels).item
  }

  // MARK: - What is left

  @Test func theFolderHoldsAllThatIsNeeded() throws {
    let recipe = tiny.recipe()
    let trainer = try Trainer(recipe, in: run("run"))
    // What becomes of the file now does not matter.
    try tiny.write("[UNK]\nother\n", to: "vocab.txt")
    let result = try trainer.run()
    let best = try FileManager.default.contentsOfDirectory(atPath: "\(run("run"))/best")
    #expect(
      Set(best) == ["model.safetensors", "optimizer.safetensors", "state.json", "vocab.txt"])
    #expect(try tiny.text("runs/run/best/vocab.txt") == TinyLanguage.vocabularyText)
    let checkpoint = try LanguageCheckpoint.load(run("run"))
    let tokenizer = try openTokenizer(at: "\(run("run"))/best/vocab.txt")
    #expect(checkpoint.tokenizer == tokenizer.fingerprint)
    #expect(checkpoint.model.configuration.vocabulary == TinyLanguage.vocabulary.count)
    #expect(checkpoint.provenance["perplexity"] == "\(try perplexity(result.best))")
    #expect(try Recipe(contentsOf: "\(run("run"))/config.yaml") == recipe)

    let metrics = try tiny.text("runs/run/metrics.csv").split(separator: "\n").map(String.init)
    let columns = [
      "epoch", "step", "learning_rate", "training_loss", "validation_loss", "perplexity",
      "accuracy", "tokens_per_second", "seconds",
    ]
    #expect(metrics.first == columns.joined(separator: ","))
    #expect(metrics.count == 3)
    let page = try tiny.text("runs/run/report.html")
    for part in ["gmlp_base on text", "Best perplexity", "Tokens per second", "Sequences"] {
      #expect(page.contains(part), "the page lacks \(part)")
    }
    let log = try tiny.text("runs/run/log.jsonl")
    #expect(log.contains("\"masked_tokens\":") && log.contains("\"perplexity\":"))
  }

  @Test func newWeightsStartFromOthers() throws {
    try Trainer(tiny.recipe(), in: run("first")).run()
    var recipe = tiny.recipe()
    recipe.weights = run("first")
    recipe.epochs = 1
    let next = try Trainer(recipe, in: run("next")).run()
    let before = try perplexity(Trainer(resuming: run("first")).run().best)
    #expect(try perplexity(next.best) < before)

    try tiny.write(TinyLanguage.vocabularyText + "more\n", to: "vocab.txt")
    let larger = #expect(throws: MingleError.self) { _ = try Trainer(recipe, in: run("none")) }
    #expect(larger?.description.contains("26") == true, "\(larger?.description ?? "")")
    let turned = TinyLanguage.vocabulary.prefix(5) + TinyLanguage.vocabulary.dropFirst(5).reversed()
    try tiny.write(turned.joined(separator: "\n"), to: "vocab.txt")
    let other = #expect(throws: MingleError.self) { _ = try Trainer(recipe, in: run("none")) }
    #expect(other?.what.contains("the tokenizer") == true)
    #expect(!FileManager.default.fileExists(atPath: run("none")))
  }
}
