import Data
import Foundation
import Inference
import Layers
import Models
import TestSupport
import Testing
import Torch

/// Classes of texts and answers to questions, from networks with random weights.
@Suite(.serialized, .ownRoutes) @TorchActor struct TextAnswerTests {
  let folder: TemporaryFolder
  let vocabulary: String

  init() throws {
    folder = try TemporaryFolder()
    vocabulary = try folder.write(Array(TinyLanguage.vocabularyText.utf8), to: "vocab.txt")
  }

  private func model(
    _ name: String, task: LanguageTask, _ settings: [String: String] = [:],
    labels: [String]? = nil, reading: TextReading = TextReading(), precision: Precision = .float32
  ) throws -> LoadedLanguageModel {
    let tokenizer = try openTokenizer(at: vocabulary)
    var all = TinyLanguage.settings(of: name)
    all["vocabulary"] = "\(tokenizer.vocabularySize)"
    all["task"] = task.rawValue
    all.merge(settings) { $1 }
    var checkpoint = try LanguageCheckpoint.fresh(
      name, settings: all, generator: Generator(seed: 7))
    // Weights large enough that every token counts.
    for entry in checkpoint.model.namedParameters where entry.parameter.decays {
      let weight = entry.parameter.tensor.detached()
      // A gate's weights begin near 0.
      entry.parameter.replace(weight * max(8, 0.3 / weight.abs().max().item))
    }
    checkpoint.labels = labels
    checkpoint.reading = reading
    checkpoint.tokenizer = tokenizer.fingerprint
    return try LoadedLanguageModel(checkpoint, tokenizer: tokenizer, precision: precision)
  }

  private let texts = [
    "the cats like fish .", "hens", "the dogs like bones . the foxs like eggs .", "",
  ]

  /// The first of them, as the model reads them.
  private func batch(_ count: Int, for model: LoadedLanguageModel) throws -> TextBatch {
    let encoder = try model.encoder()
    return encoder.batch(
      texts.prefix(count).map { encoder.encode($0, nil) },
      padding: type(of: model.checkpoint.model).textPadding)
  }

  private func error(_ a: Tensor, _ b: Tensor) -> Double { (a - b).norm().item / b.norm().item }

  /// Networks that read nothing but tokens, always as many, are computed by a plan.
  @Test(arguments: ["gmlp_base", "amlp_base", "mixer_base"])
  func aPlanAnswersAsTheLayersDo(_ name: String) throws {
    let model = try model(name, task: .classes, ["classes": "3"], labels: ["a", "b", "c"])
    for count in [1, 4, 4] {
      let batch = try batch(count, for: model)
      let expected = model.compute { model.checkpoint.model.logits(batch) }
      let difference = (model.logits(batch) - expected).abs().max().item
      #expect(difference < 1e-4 * max(1, expected.abs().max().item))
      #expect((model.plan?.kernels(for: batch.tokens.shape)?.count ?? 0) > 0)
    }
  }

  @Test(arguments: ["gmlp_base", "amlp_base", "mixer_base"])
  func aPlanInLowPrecisionIsNear(_ name: String) throws {
    let model = try model(name, task: .classes, ["classes": "3"], precision: .bfloat16)
    let layers = model.checkpoint.model
    for count in [1, 4, 4] {
      let batch = try batch(count, for: model)
      let answer = model.logits(batch)
      #expect(error(answer, model.compute { layers.logits(batch) }) < 0.03)
      #expect(error(answer, withoutGradients { layers.logits(batch) }) > 0)
      // With the second of a shape, libtorch's products may be found to be faster.
      guard count == 1 else { continue }
      #expect((model.plan?.kernels(for: batch.tokens.shape)?.count ?? 0) > 0)
    }
  }

  /// Masked sequences, the last of them filled up, in batches of which the last is smaller.
  @Test(arguments: ["gmlp_base", "amlp_base", "mixer_base"], Precision.allCases)
  func aPlanFindsMasksAsTheLayersDo(_ name: String, _ precision: Precision) throws {
    let model = try model(name, task: .masked, precision: precision)
    let layers = model.checkpoint.model
    let text = try folder.write(Array(TinyLanguage.text(60).utf8), to: "text.txt")
    let corpus = try TokenCorpus(
      TextCorpus(text), tokenizer: model.tokenizer, cache: folder("cache"), workers: 1)
    let sequences = try PackedSequences(
      corpus, length: layers.configuration.sequenceLength, keepsLast: true)
    let loader = try MaskedLoader(sequences, options: .evaluation(batchSize: 4))
    let batches = loader.batches(epoch: 0)
    while let batch = try batches.next() {
      func plain() -> Tensor {
        layers.maskedLogits(batch.tokens, at: batch.positions, mask: batch.mask)
      }
      let (answer, exact) = (model.maskedLogits(batch), withoutGradients(plain))
      #expect(answer.shape == [batch.maskedCount, TinyLanguage.vocabulary.count])
      if precision == .float32 {
        #expect(error(answer, exact) < 1e-4)
        #expect((model.plan?.kernels(for: batch.tokens.shape)?.count ?? 0) > 0)
      } else {
        #expect(error(answer, model.compute(plain)) < 0.03)
        #expect(error(answer, exact) > 0)
      }
    }
    #expect(loader.batchesPerEpoch > 3)
  }

  /// What stands beside a text changes nothing, though the batch is filled up to the longest.
  @Test(arguments: ["gmlp_base", "amlp_base", "mixer_base", "bert_base"])
  func anAnswerDoesNotDependOnTheBatch(_ name: String) throws {
    let classifier = try TextClassifier(
      model(name, task: .classes, ["classes": "3"], labels: ["a", "b", "c"]))
    let together = try classifier.classify(texts.map { (text: $0, pair: nil) })
    var firsts: Set<Double> = []
    for (text, answer) in zip(texts, together) {
      let alone = try classifier.classify(text)
      #expect(alone.count == 3)
      #expect(abs(alone.reduce(0) { $0 + $1.probability } - 1) < 1e-5)
      for (one, other) in zip(alone, answer.predictions) {
        #expect(one.label == other.label && abs(one.probability - other.probability) < 1e-5)
      }
      firsts.insert(alone[0].probability)
    }
    #expect(firsts.count == texts.count, "texts make no difference")
  }

  @Test func longTextsAreCutAtTheLengthOfTraining() throws {
    let classifier = try TextClassifier(
      model("gmlp_base", task: .classes, reading: TextReading(length: 6)))
    let answers = try classifier.classify([
      (text: "the cats like", pair: nil), (text: "the cats like fish .", pair: nil),
      (text: "the cats like bones .", pair: nil),
    ])
    // cats is two tokens: <cls> the cat ##s like <sep>
    #expect(answers.map(\.isCut) == [false, true, true])
    #expect(answers[1].predictions == answers[2].predictions)
    #expect(answers[0].predictions == answers[1].predictions)
    #expect(classifier.label(of: 1) == "1")
  }

  @Test func aModelOfValuesGivesValues() throws {
    let classifier = try TextClassifier(model("gmlp_base", task: .classes, ["classes": "1"]))
    #expect(classifier.givesValues)
    let values = try classifier.values(of: texts.map { (text: $0, pair: "the cats") })
    #expect(values.count == texts.count && Set(values.map(\.value)).count > 1)
  }

  /// A text of many windows: the answer is cut from it as it stands there.
  @Test func answersStandInTheText() throws {
    let answerer = try QuestionAnswerer(
      model("bert_base", task: .span, reading: TextReading(length: 16)))
    let context = texts.joined(separator: "  ") + " the bees like sugar . the pigs like roots ."
    let prediction = try answerer.answer("the bees like", in: context, top: 4)
    #expect(prediction.answers.count == 4)
    #expect(prediction.text == prediction.answers[0].text)
    let bytes = Array(context.utf8)
    for answer in prediction.answers {
      #expect(String(decoding: bytes[answer.range], as: UTF8.self) == answer.text)
      #expect(!answer.text.isEmpty)
    }
    let again = try answerer.answer("the bees like", in: context, top: 4)
    #expect(again == prediction)
  }

  @Test func whatCannotBeIsTold() throws {
    let classes = try model("gmlp_base", task: .classes)
    #expect(throws: MingleError.self) { try QuestionAnswerer(classes) }
    let masked = #expect(throws: MingleError.self) { try MaskFiller(classes) }
    #expect(masked?.description.contains("mingle predict --text") == true)
    let answerer = try QuestionAnswerer(model("bert_base", task: .span))
    #expect(throws: MingleError.self) { try TextClassifier(answerer.model) }
    let empty = #expect(throws: MingleError.self) { try answerer.answer(" ", in: "the cats") }
    #expect(empty?.description.contains("the question is empty") == true)
    #expect(throws: MingleError.self) { try answerer.answer("the cats", in: "\n") }
    let long = String(repeating: "the cats like ", count: 9)
    let question = #expect(throws: MingleError.self) { try answerer.answer(long, in: "the cats") }
    #expect(question?.description.contains("too long") == true)
    let other = try folder.write(
      Array((TinyLanguage.vocabularyText + "zebra\n").utf8), to: "other.txt")
    let tokenizer = try openTokenizer(at: other)
    #expect(throws: MingleError.self) {
      try LoadedLanguageModel(classes.checkpoint, tokenizer: tokenizer)
    }
  }

  /// Weights that are no numbers end in an error, not in an answer.
  @Test func damagedWeightsGiveNoAnswer() throws {
    let damaged = try model("gmlp_base", task: .classes)
    let parameters = damaged.checkpoint.model.namedParameters
    let last = try #require(parameters.last)
    last.parameter.replace(last.parameter.tensor.detached() * Double.nan)
    let classifier = try TextClassifier(damaged)
    let error = #expect(throws: MingleError.self) { try classifier.classify("the cats") }
    #expect(error?.description.contains("no number") == true)
  }
}
