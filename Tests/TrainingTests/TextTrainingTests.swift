import Data
import Foundation
import Models
import TestSupport
import Testing
import Torch
import Training

/// Whole runs of language models on labelled texts and on questions.
@Suite(.serialized, .ownRoutes) @TorchActor struct TextTrainingTests {
  let tiny: TinyText

  init() throws { tiny = try TinyText() }

  private func run(_ name: String) -> String { tiny.folder("runs/\(name)") }

  private func recipe(_ task: TrainingTask, _ model: String, data: String) -> Recipe {
    var recipe = tiny.recipe(model)
    recipe.task = task
    recipe.data = data
    recipe.epochs = 12
    recipe.schedule.learningRate = 1e-2
    recipe.optimizer.weightDecay = 0
    return recipe
  }

  // MARK: - Classes

  /// Pairs of half sentences; those about the first four foods are "yes".
  private func writePairs() throws -> String {
    for (part, seed) in [("train", 3), ("dev", 4)] {
      let rows = TinyLanguage.text(240, seed: UInt64(seed)).split(separator: "\n").map { line in
        let words = line.split(separator: " ")
        let label = words[3] < "grass" ? "yes" : "no"
        return "\(words[0]) \(words[1])\t\(words[2]) \(words[3]) .\t\(label)\n"
      }
      try tiny.write("sentence1\tsentence2\tlabel\n" + rows.joined(), to: "pairs/\(part).tsv")
    }
    return tiny.folder("pairs")
  }

  @Test(arguments: ["gmlp_base", "bert_base"]) func aModelLearnsPairs(_ model: String) throws {
    let data = try writePairs()
    var recipe = recipe(.text, model, data: data)
    recipe.epochs = 10
    let result = try Trainer(recipe, in: run("pairs")).run()
    guard case .texts(let report) = try #require(result.best).validation else {
      throw MingleError(.failed, "no report about texts")
    }
    #expect(try #require(report.accuracy) > 0.9)
    #expect(report.parts.count == 1 && report.samples == 240)
    let saved = try LanguageCheckpoint.load(run("pairs"))
    #expect(saved.labels == ["no", "yes"])
    #expect(saved.model.configuration.task == .classes)
    let names = try FileManager.default.contentsOfDirectory(atPath: run("pairs/best"))
    #expect(Set(names).isSuperset(of: ["model.safetensors", "vocab.txt"]))
    #expect(try tiny.text("runs/pairs/report.html").contains("Matthews correlation"))
  }

  @Test func aRunOnTextsResumesToTheBit() throws {
    let data = try writePairs()
    var recipe = recipe(.text, "gmlp_base", data: data)
    recipe.epochs = 2
    recipe.settings["dropout"] = "0.1"
    try Trainer(recipe, in: run("whole")).run()
    try Trainer(recipe, in: run("parts")).run { event in
      if case .step(let step) = event, step.step == 20 { .stop } else { .proceed }
    }
    try FileManager.default.removeItem(atPath: tiny.folder("vocab.txt"))  // the run has its own
    try Trainer(resuming: run("parts")).run()
    let states = try ["whole", "parts"].map { name in
      try LanguageCheckpoint.load(run("\(name)/last")).model.state.map {
        $0.tensor.array(of: Float.self)
      }
    }
    #expect(states[0] == states[1] && !states[0].isEmpty)
  }

  @Test func changedTextsAreNotGoneOnWith() throws {
    let data = try writePairs()
    var recipe = recipe(.text, "gmlp_base", data: data)
    recipe.epochs = 2
    try Trainer(recipe, in: run("changed")).run { event in
      if case .step = event { .stop } else { .proceed }
    }
    let rows = try tiny.text("pairs/train.tsv").replacingOccurrences(of: "cats", with: "dogs")
    try tiny.write(rows, to: "pairs/train.tsv")
    let error = #expect(throws: MingleError.self) { try Trainer(resuming: run("changed")) }
    #expect(error?.kind == .badData || error?.kind == .usage)
  }

  @Test func oneClassIsNothingToLearn() throws {
    try tiny.write("sentence\tlabel\nthe cats\tyes\nthe dogs\tyes\n", to: "one.tsv")
    let recipe = recipe(.text, "gmlp_base", data: tiny.folder("one.tsv"))
    let error = #expect(throws: MingleError.self) { try Trainer(recipe, in: nil) }
    #expect(error?.description.contains("same label") == true)
  }

  @Test func validationPartsAreToldApart() throws {
    let data = try writePairs()
    for name in ["matched", "mismatched"] {
      try FileManager.default.copyItem(
        atPath: "\(data)/dev.tsv", toPath: "\(data)/dev_\(name).tsv")
    }
    try FileManager.default.removeItem(atPath: "\(data)/dev.tsv")
    var recipe = recipe(.text, "gmlp_base", data: data)
    recipe.epochs = 1
    try Trainer(recipe, in: run("two")).run()
    let header = try tiny.text("runs/two/metrics.csv").prefix { $0 != "\n" }.split(separator: ",")
    #expect(header.contains("accuracy_dev_matched"))
    #expect(header.contains("accuracy_dev_mismatched") && header.contains("accuracy"))
  }

  @Test func fineTuningTakesModelsTokenizerAndRefusesAnother() throws {
    var first = tiny.recipe()
    first.epochs = 1
    try Trainer(first, in: run("pretrained")).run()
    let data = try writePairs()
    var recipe = recipe(.text, "gmlp_base", data: data)
    recipe.weights = run("pretrained")
    recipe.settings = [:]
    recipe.text = nil
    let trainer = try Trainer(recipe, in: run("tuned"))
    let before = try LanguageCheckpoint.load(run("pretrained")).model.state
    let kept = Dictionary(uniqueKeysWithValues: trainer.model.state.map { ($0.name, $0.tensor) })
    for (name, tensor) in before where name.hasPrefix("blocks.") {
      #expect(kept[name]?.array(of: Float.self) == tensor.array(of: Float.self))
    }
    try tiny.write(TinyLanguage.vocabularyText + "zebra\n", to: "other.txt")
    var text = TextRecipe()
    text.tokenizer = tiny.folder("other.txt")
    recipe.text = text
    #expect(throws: MingleError.self) { try Trainer(recipe, in: run("wrong")) }
    #expect(!FileManager.default.fileExists(atPath: run("wrong")))
  }

  // MARK: - Values

  @Test func aModelLearnsValues() throws {
    let values = Dictionary(
      uniqueKeysWithValues: TinyLanguage.animals.enumerated().map { ($1, Double($0) / 4 + 0.1) })
    let rows = TinyLanguage.animals.flatMap { animal in
      (0..<20).map { _ in "the \(animal)s like\t\(values[animal] ?? 0)\n" }
    }
    try tiny.write("sentence\tscore\n" + rows.joined(), to: "values/train.tsv")
    let result = try Trainer(
      recipe(.text, "gmlp_base", data: tiny.folder("values")), in: run("values")
    ).run()
    let best = try #require(result.best).validation
    #expect(best.headline.name == "spearman" && best.headline.value > 0.95)
    #expect(try LanguageCheckpoint.load(run("values")).labels == nil)
  }

  // MARK: - Questions

  /// What an animal eats: the one food that the text names, or none.
  private func writeQuestions(_ name: String, withImpossible: Bool) throws {
    let animals = TinyLanguage.animals
    var paragraphs: [[String: Any]] = []
    for index in 0..<160 {
      let animal = animals[index % animals.count]
      let food = TinyLanguage.food(of: animal) ?? ""
      let isImpossible = withImpossible && index % 3 == 0
      let before = String(repeating: "the ", count: index % 5)
      let context = "\(before)the \(animal)s like \(isImpossible ? "the" : food) ."
      let start = before.count + "the \(animal)s like ".count
      let answer: [String: Any] = ["text": food, "answer_start": start]
      var question: [String: Any] = [
        "id": "\(index)", "question": "the \(animal)s like",
        "answers": isImpossible ? [] : [answer],
      ]
      if withImpossible { question["is_impossible"] = isImpossible }
      paragraphs.append(["context": context, "qas": [question]])
    }
    let file: [String: Any] = [
      "version": withImpossible ? "v2.0" : "1.1",
      "data": [["title": "animals", "paragraphs": paragraphs]],
    ]
    let json = try JSONSerialization.data(withJSONObject: file, options: [.sortedKeys])
    try tiny.write(String(decoding: json, as: UTF8.self), to: name)
  }

  @Test(arguments: [false, true]) func aModelLearnsToAnswer(_ withImpossible: Bool) throws {
    try writeQuestions("squad/train.json", withImpossible: withImpossible)
    try writeQuestions("squad/dev.json", withImpossible: withImpossible)
    var recipe = recipe(.questions, "bert_base", data: tiny.folder("squad"))
    recipe.settings["sequence_length"] = "24"
    let result = try Trainer(recipe, in: run("squad")).run()
    guard case .questions(let report) = try #require(result.best).validation else {
      throw MingleError(.failed, "no report about questions")
    }
    #expect(report.score.exactMatch > 90 && report.score.total == 160)
    #expect((report.score.withoutAnswer != nil) == withImpossible)
    let saved = try LanguageCheckpoint.load(run("squad"))
    #expect(saved.reading.allowsNone == withImpossible)
    #expect(try tiny.text("runs/squad/report.html").contains("Exact match"))
  }

  // MARK: - What cannot be

  @Test func wrongTasksAreRefused() throws {
    let data = try writePairs()
    var pictures = recipe(.images, "gmlp_base", data: data)
    let reads = #expect(throws: MingleError.self) { try Trainer(pictures, in: nil) }
    #expect(reads?.description.contains("reads text") == true)
    pictures.task = .text
    pictures.model = "mixer_s16_224"
    pictures.settings = [:]
    let text = #expect(throws: MingleError.self) { try Trainer(pictures, in: nil) }
    #expect(text?.description.contains("reads pictures") == true)
    var long = recipe(.text, "gmlp_base", data: data)
    long.text?.length = 21
    let length = #expect(throws: MingleError.self) { try Trainer(long, in: nil) }
    #expect(length?.description.contains("at most 20 tokens") == true)
    var none = recipe(.text, "gmlp_base", data: data)
    none.text = nil
    let tokenizer = #expect(throws: MingleError.self) { try Trainer(none, in: nil) }
    #expect(tokenizer?.description.contains("tokenizer") == true)
  }

  /// More batches than there are: all of them.
  @Test(arguments: [TrainingTask.text, .questions])
  func anyNumberOfBatchesIsLearnedByHeart(_ task: TrainingTask) throws {
    let data = try writePairs()
    try writeQuestions("squad/train.json", withImpossible: false)
    var recipe = recipe(
      task, "gmlp_base", data: task == .text ? data : tiny.folder("squad/train.json"))
    recipe.settings["sequence_length"] = "24"
    recipe.epochs = 1
    let trainer = try Trainer(recipe, in: nil, rehearsal: .overfit(batches: .max))
    var samples = 0
    try trainer.run { event in
      if case .started(let plan) = event { samples = plan.trainingSamples }
      return .proceed
    }
    #expect(samples > 100)
  }

  /// A file that is split into two parts is remarked on once.
  @Test func aFileIsRemarkedOnOnce() throws {
    let rows = (0..<40).map { "the cats like fish .\t\($0 % 2 == 0 ? "a" : "b")\n" }
    let bytes =
      Array(("sentence\tlabel\n" + rows.joined()).utf8) + Array("the \u{e9}".utf8.dropLast())
    try tiny.folder.write(bytes + Array("\ta\n".utf8), to: "broken.tsv")
    var remarks: [String] = []
    let recipe = recipe(.text, "gmlp_base", data: tiny.folder("broken.tsv"))
    try Trainer(recipe, in: nil, rehearsal: .fastRun).run { event in
      if case .started(let plan) = event { remarks = plan.remarks }
      return .proceed
    }
    #expect(remarks.count == 1 && remarks.first?.contains("invalid UTF-8") == true, "\(remarks)")
  }

  @Test func longTextsAreCutAndTold() throws {
    let data = try writePairs()
    var recipe = recipe(.text, "gmlp_base", data: data)
    recipe.text?.length = 6
    var remarks: [String] = []
    try Trainer(recipe, in: nil, rehearsal: .fastRun).run { event in
      if case .started(let plan) = event { remarks = plan.remarks }
      return .proceed
    }
    #expect(remarks.contains { $0.contains("longer than 6 tokens") })
  }
}
