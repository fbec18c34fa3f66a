import Data
import Foundation
import Testing
import Torch

/// A file of SQuAD's form with one paragraph.
private func squadFile(_ context: String, _ questions: [[String: Any]]) throws -> [UInt8] {
  let root: [String: Any] = [
    "version": "v2.0",
    "data": [["title": "t", "paragraphs": [["context": context, "qas": questions]]]],
  ]
  return [UInt8](try JSONSerialization.data(withJSONObject: root))
}

private func question(
  _ id: String, _ text: String, _ answers: [(String, Int)], isImpossible: Bool? = nil
) -> [String: Any] {
  var question: [String: Any] = [
    "id": id, "question": text,
    "answers": answers.map { ["text": $0.0, "answer_start": $0.1] as [String: Any] },
  ]
  if let isImpossible { question["is_impossible"] = isImpossible }
  return question
}

@Suite @TorchActor struct SQuADTests {
  private let folder: TemporaryFolder
  private let tokenizer = TinyTokenizer()

  init() throws { folder = try TemporaryFolder() }

  private func data(_ context: String, _ questions: [[String: Any]]) throws -> SQuAD {
    try SQuAD(folder.write("squad.json", squadFile(context, questions)))
  }

  @Test func answersStandAtScalars() throws {
    // e with a combining accent, a character of two UTF-16 units, one of two bytes.
    let context = "e\u{301} 😀 ü answer"
    let found = try data(
      context,
      [
        question("1", "?", [("answer", 7), ("ü", 5)]), question("2", "?", [("answer", 8)]),
        question("3", "?", [], isImpossible: true), question("4", "?", [("x", -1)]),
      ])
    let range = try #require(found.questions[0].answers[0].range)
    #expect(String(decoding: Array(context.utf8)[range], as: UTF8.self) == "answer")
    #expect(found.questions[0].answers[1].range == 9..<11)
    #expect(found.questions[1].answers[0].range == nil && found.misplacedAnswers == ["2", "4"])
    #expect(found.questions[2].isImpossible && found.hasImpossible && found.version == "v2.0")
    #expect(found.remarks.count == 1)
  }

  @Test func hostileFilesAreRefused() throws {
    func message(_ text: String) throws -> String {
      let path = try folder.write("bad.json", text)
      let line = mingleError { try SQuAD(path) }?.description ?? ""
      return line.replacingOccurrences(of: path, with: "F")
    }
    #expect(try message("") == "F: an empty file: expected SQuAD's JSON")
    #expect(try message("{\"data\": [").hasPrefix("F: not JSON: an early end at byte 11"))
    #expect(try message("{} x").hasPrefix("F: not JSON: more after the end of the value"))
    #expect(try message("{\"version\": 1}").hasPrefix("F: no 'data'"))
    #expect(try message("{\"data\": {}}").contains("F, data: a value of a wrong kind"))
    #expect(try message("{\"data\": []}") == "F: no samples: expected questions")
    func item(_ question: String) throws -> String {
      try message(
        "{\"data\": [{\"paragraphs\": [{\"context\": \"c\", \"qas\": [\(question)]}]}]}")
    }
    let place = "F, data[0].paragraphs[0].qas[0]"
    #expect(try item("{}").hasPrefix("\(place): no 'id'"))
    #expect(try item("3").hasPrefix("\(place): a value of a wrong kind"))
    #expect(
      try item(
        "{\"id\": \"1\", \"question\": \"\", \"answers\": [{\"text\": \"c\", \"answer_start\": 1.5}]}"
      )
      .hasPrefix("\(place).answers[0].answer_start: a value of a wrong kind"))
    let good = "{\"id\": \"1\", \"question\": \"q\", \"answers\": []}"
    #expect(try item("\(good), \(good)").contains("the id '1' twice"))
    #expect(
      try item(
        "{\"id\": \"1\", \"question\": \"\", \"is_impossible\": true, "
          + "\"answers\": [{\"text\": \"c\", \"answer_start\": 0}]}"
      ).contains("impossible"))
    let deep = String(repeating: "[", count: 1_000_000)
    #expect(try message("{\"data\": " + deep).contains("nested"))
  }

  /// Words w0 ... w59 of two pieces each; a question of two pieces.
  private func longData() throws -> SQuAD {
    let words = (0..<60).map { "word\($0 % 10)\($0 / 10)" }
    let context = words.joined(separator: " ")
    return try data(
      context,
      [
        question("a", "who is", [(words[30] + " " + words[31], 30 * 7)]),
        question("b", "who", [], isImpossible: true),
      ])
  }

  @Test func windowsCoverTheText() throws {
    let data = try longData()
    let encoder = try PairEncoder(tokenizer, length: 45)
    var options = SQuADWindowOptions()
    options.stride = 16
    options.questionLimit = 4
    let made = try SQuADWindows(data, encoder: encoder, options: options, isForTraining: true)
    let first = made.windows.filter { $0.question == 0 }
    // 120 tokens, 40 in a window: 0, 16, ... 80.
    #expect(first.count == 6 && made.lostAnswers == 0 && made.cutQuestions == 0)
    let context = tokenizer.encode(data.contexts[0])
    for (index, window) in first.enumerated() {
      let tokens = Array(context[index * 16..<min(index * 16 + 40, 120)])
      #expect(window.text.tokens == [2] + tokenizer.encode("who is") + [3] + tokens + [3])
      // The answer is the tokens 60 to 63.
      let shift = window.text.firstCount - index * 16
      let isInside = index * 16 <= 60 && 63 < index * 16 + 40
      #expect(window.target?.start == (isInside ? 60 + shift : 0))
      #expect(window.target?.end == (isInside ? 63 + shift : 0))
    }
    // Each token is seen best in one window.
    #expect(first.flatMap(\.bestSeen) == Array(0..<120))
    #expect(made.windows.filter { $0.question == 1 }.allSatisfy { $0.target?.end == 0 })
  }

  @Test func impossibleWindowsAreRefused() throws {
    let data = try longData()
    let encoder = try PairEncoder(tokenizer, length: 64)
    var options = SQuADWindowOptions()
    options.stride = 30
    let error = mingleError {
      try SQuADWindows(data, encoder: encoder, options: options, isForTraining: false)
    }
    #expect(error?.kind == .usage)
    options.stride = nil
    _ = try SQuADWindows(data, encoder: encoder, options: options, isForTraining: false)
  }

  /// Logits that are right give the people's answers back, from whichever window.
  @Test func rightScoresGiveTheAnswers() throws {
    let data = try longData()
    let encoder = try PairEncoder(tokenizer, length: 45)
    var options = SQuADWindowOptions()
    options.stride = 16
    options.questionLimit = 4
    let made = try SQuADWindows(data, encoder: encoder, options: options, isForTraining: true)
    var answerOptions = SQuADAnswerOptions()
    answerOptions.allowsNone = true
    var predictor = SQuADPredictor(made, options: answerOptions)
    let loader = try SQuADLoader(made, options: .training(batchSize: 3, seed: 1))
    for batch in try all(loader.batches(epoch: 0)) {
      let length = batch.texts.tokens.shape[1]
      let spans = try #require(batch.spans).array(of: Int.self)
      var logits = [Float](repeating: 0, count: batch.count * length * 2)
      for row in 0..<batch.count {
        logits[(row * length + spans[2 * row]) * 2] = 5
        logits[(row * length + spans[2 * row + 1]) * 2 + 1] = 5
      }
      predictor.add(Tensor(logits, shape: [batch.count, length, 2]), indices: batch.indices)
    }
    let answers = predictor.predictions()
    #expect(answers.map(\.id) == ["a", "b"])
    #expect(answers[0].text == "word03 word13" && answers[0].answers[0].range == 210..<223)
    #expect(answers[0].answers[0].score == 10 && answers[0].noneScore == -10)
    #expect(answers[1].text == "" && answers[1].noneScore == 10)
    #expect(answers[1].answers.count == 20)
    let sum = answers[0].answers.reduce(0) { $0 + $1.probability }
    #expect(sum > 0.9 && sum < 1)
    let given = Dictionary(uniqueKeysWithValues: answers.map { ($0.id, $0.text) })
    #expect(SQuADScore(data, answers: given).exactMatch == 100)
  }

  /// Against all spans of all windows.
  @Test func theBestSpanIsFound() throws {
    let data = SQuAD(question: "who", context: "one two three four five six seven")
    let made = try SQuADWindows(
      data, encoder: PairEncoder(tokenizer, length: 100), isForTraining: false)
    let window = made.windows[0]
    let length = window.text.tokens.count
    var options = SQuADAnswerOptions()
    options.lengthLimit = 3
    options.count = 5
    for seed in 0..<20 {
      var random = RandomNumbers(seed: UInt64(seed), .sample)
      let logits = (0..<length * 2).map { _ in Float(random.uniform()) }
      var predictor = SQuADPredictor(made, options: options)
      predictor.add(Tensor(logits, shape: [1, length, 2]), indices: [0])
      let prediction = predictor.predictions()[0]
      var best: (score: Float, text: String) = (-1, "")
      let tokens = tokenizer.tokens(in: data.contexts[0])
      for first in tokens.indices {
        for last in first..<min(first + 3, tokens.count) {
          let shift = window.text.firstCount
          let score = logits[2 * (first + shift)] + logits[2 * (last + shift) + 1]
          let bytes = tokens[first].range.lowerBound..<tokens[last].range.upperBound
          let text = String(decoding: Array(data.contexts[0].utf8)[bytes], as: UTF8.self)
          if score > best.score { best = (score, text) }
        }
      }
      #expect(prediction.text == best.text && prediction.answers.count == 5)
      let scores = prediction.answers.map(\.score)
      #expect(scores == scores.sorted(by: >))
    }
  }

  @Test func loadersResume() throws {
    let made = try SQuADWindows(
      longData(), encoder: PairEncoder(tokenizer, length: 45), isForTraining: true)
    let loader = try SQuADLoader(made, options: .training(batchSize: 4, seed: 1, workers: 3))
    let whole = try all(loader.batches(epoch: 1)).map(\.indices)
    let rest = try all(loader.batches(epoch: 1, from: 2)).map(\.indices)
    #expect(rest == Array(whole[2...]) && whole.count > 3)
  }

  @Test func normalisedAsInPython() {
    let cases: [(String, [String])] = [
      ("The  Cat's a-b!", ["cats", "ab"]), ("A an the", []), ("the_cat", ["thecat"]),
      ("a\u{301} x", ["\u{301}", "x"]), ("\u{e1} an\u{b2}", ["\u{e1}", "an\u{b2}"]),
      ("x\u{1c}y\u{a0}z\u{200b}w", ["x", "y", "z\u{200b}w"]),
      ("ΟΔΟΣ ΣΑΣ Σ", ["οδος", "σας", "σ"]), ("«the» “quoted”", ["«", "»", "“quoted”"]),
      ("İstanbul", ["i\u{307}stanbul"]), ("theater 1,000.50$", ["theater", "100050"]),
    ]
    for (text, words) in cases { #expect(NormalizedAnswer(text).words == words, "\(text)") }
    #expect(NormalizedAnswer("\u{e9}") != NormalizedAnswer("e\u{301}"))
  }

  @Test func scoresOfVersionOne() throws {
    let context = "the old red cat sat on a mat"
    let data = try data(
      context,
      [
        question("1", "?", [("red cat", 8), ("the old red cat", 0)]),
        question("2", "?", [("mat", 25)]), question("3", "?", [("a", 23)]),
      ])
    let score = SQuADScore(data, answers: ["1": "A Red, Cat", "2": "on a mat mat", "3": "the"])
    #expect(abs(score.exactMatch - 200 / 3) < 1e-9)
    #expect(abs(score.f1 - (100 + 100 * 0.5) / 3) < 1e-9)
    let missing = SQuADScore(data, answers: ["1": "red cat"])
    #expect(abs(missing.exactMatch - 100 / 3) < 1e-9 && missing.missing == 2 && missing.total == 3)
    #expect(missing.withAnswer == nil && missing.bestF1 == nil)
  }

  @Test func scoresOfVersionTwo() throws {
    let data = try data(
      "the old red cat sat on a mat",
      [
        question("1", "?", [("red cat", 8)]), question("2", "?", [("mat", 25)]),
        question("3", "?", [], isImpossible: true), question("4", "?", [], isImpossible: true),
      ])
    let answers = ["1": "red cat", "2": "on a mat", "3": "cat", "4": "sat"]
    let none = ["1": -5.0, "2": 1, "3": 3, "4": -1]
    let plain = SQuADScore(data, answers: answers, noneScores: none, threshold: 100)
    #expect(plain.exactMatch == 25 && plain.total == 4)
    #expect(abs(plain.f1 - 100 * (1 + 2.0 / 3) / 4) < 1e-9)
    #expect(plain.withAnswer?.exactMatch == 50 && plain.withoutAnswer?.f1 == 0)
    // None for 3 alone: 1 right, 2 in part, 3 right, 4 wrong.
    let some = SQuADScore(data, answers: answers, noneScores: none, threshold: 2)
    #expect(some.exactMatch == 50 && some.withoutAnswer?.exactMatch == 50)
    #expect(some.bestExactMatch?.value == 75 && some.bestExactMatch?.threshold == -5)
    #expect(some.bestF1?.value == 75)
    let partly = SQuADScore(data, answers: ["1": "red cat", "3": ""])
    #expect(partly.total == 2 && partly.exactMatch == 100 && partly.missing == 2)
  }

  @Test(.enabled(if: hasShared("squad"))) func sharedSetsAreRead() throws {
    let dev = try SQuAD(shared.appending(path: "squad/dev-v1.1.json").path)
    #expect(dev.questions.count == 10_570 && dev.contexts.count == 2067)
    #expect(dev.misplacedAnswers.isEmpty && !dev.hasImpossible && dev.repairedTexts == 0)
    let right = Dictionary(uniqueKeysWithValues: dev.questions.map { ($0.id, $0.answers[0].text) })
    let score = SQuADScore(dev, answers: right)
    #expect(score.exactMatch == 100 && score.f1 == 100)
  }
}
