import Foundation

/// The official scores of SQuAD 1.1 and 2.0, in percent.
///
/// Exact match: the share of answers that, normalised, equal one of the people's. F1: the harmonic
/// mean of the shares of words that answer and person have in common, the best person's counting.
/// Normalised: in lower case, without punctuation (ASCII), articles and superfluous white space.
public struct SQuADScore: Codable, Hashable, Sendable {
  public let exactMatch: Double
  public let f1: Double
  /// Questions that count.
  public let total: Int
  /// The scores of questions that have an answer, and of those that have none; nil where there are
  /// none of a kind, or the data know only one.
  public let withAnswer: Part?
  public let withoutAnswer: Part?
  /// The best scores that a threshold for giving no answer can reach, and the thresholds; nil where
  /// no scores of no answer were given.
  public let bestExactMatch: Best?
  public let bestF1: Best?
  /// Questions that were not answered: in version 1.1 they count as wrong, in 2.0 not at all.
  public let missing: Int

  public struct Part: Codable, Hashable, Sendable {
    public let exactMatch: Double
    public let f1: Double
    public let total: Int

    enum CodingKeys: String, CodingKey { case exactMatch = "exact_match", f1, total }
  }

  public struct Best: Codable, Hashable, Sendable {
    public let value: Double
    public let threshold: Double
  }

  enum CodingKeys: String, CodingKey {
    case f1, total, missing
    case exactMatch = "exact_match", withAnswer = "has_answer", withoutAnswer = "no_answer"
    case bestExactMatch = "best_exact_match", bestF1 = "best_f1"
  }

  /// Scores answers by question.
  ///
  /// - Parameters:
  ///   - answers: by the questions' ids; empty for none.
  ///   - noneScores: for version 2.0, how likely it is that there is no answer, in any unit:
  ///     ``SQuADPrediction/noneScore``. The answers must then be the best ones that are not empty.
  ///   - threshold: no answer is given where its score is above this.
  public init(
    _ data: SQuAD, answers: [String: String], noneScores: [String: Double]? = nil,
    threshold: Double = 1
  ) {
    let isVersion2 = data.hasImpossible
    var scores: [Question] = []
    var missing = 0
    for question in data.questions {
      guard let answer = answers[question.id] else {
        missing += 1
        if !isVersion2 { scores.append(Question(id: question.id, hasAnswer: true)) }
        continue
      }
      scores.append(Question(question, answer: answer, isVersion2: isVersion2))
    }
    self.missing = missing
    bestExactMatch = noneScores.map { Self.best(scores, $0, \.exact) }
    bestF1 = noneScores.map { Self.best(scores, $0, \.f1) }
    if let noneScores {
      for index in scores.indices where noneScores[scores[index].id] ?? 0 > threshold {
        scores[index].exact = scores[index].hasAnswer ? 0 : 1
        scores[index].f1 = scores[index].exact
      }
    }
    let all = Self.part(scores)
    exactMatch = all?.exactMatch ?? 0
    f1 = all?.f1 ?? 0
    total = all?.total ?? 0
    withAnswer = isVersion2 ? Self.part(scores.filter(\.hasAnswer)) : nil
    withoutAnswer = isVersion2 ? Self.part(scores.filter { !$0.hasAnswer }) : nil
  }

  /// A question's scores, 0 to 1.
  private struct Question {
    let id: String
    let hasAnswer: Bool
    var isAnswered = false
    var exact = 0.0
    var f1 = 0.0

    init(id: String, hasAnswer: Bool) {
      self.id = id
      self.hasAnswer = hasAnswer
    }

    init(_ question: SQuAD.Question, answer: String, isVersion2: Bool) {
      id = question.id
      hasAnswer = !question.answers.isEmpty
      isAnswered = !answer.isEmpty
      var people = question.answers.map { NormalizedAnswer($0.text) }
      if isVersion2 {
        // What is nothing when normalised is no answer.
        people.removeAll(where: \.words.isEmpty)
        if people.isEmpty { people = [NormalizedAnswer("")] }
      }
      let given = NormalizedAnswer(answer)
      exact = people.contains(given) ? 1 : 0
      f1 = people.map { given.f1(against: $0, emptyCounts: isVersion2) }.max() ?? 0
    }
  }

  private static func part(_ scores: [Question]) -> Part? {
    guard !scores.isEmpty else { return nil }
    let count = Double(scores.count)
    return Part(
      exactMatch: 100 * scores.reduce(0) { $0 + $1.exact } / count,
      f1: 100 * scores.reduce(0) { $0 + $1.f1 } / count, total: scores.count)
  }

  /// The best of all thresholds: going through the questions from the surest answer on, each is
  /// answered instead of left without answer.
  private static func best(
    _ scores: [Question], _ noneScores: [String: Double], _ value: KeyPath<Question, Double>
  ) -> Best {
    var current = Double(scores.count { !$0.hasAnswer })
    var best = Best(value: current, threshold: 0)
    // Of equals, the one first in the data.
    let sorted = scores.enumerated().compactMap { index, score in
      noneScores[score.id].map { (none: $0, index: index, score: score) }
    }.sorted { ($0.none, $0.index) < ($1.none, $1.index) }
    for (none, _, score) in sorted {
      current += score.hasAnswer ? score[keyPath: value] : score.isAnswered ? -1 : 0
      if current > best.value { best = Best(value: current, threshold: none) }
    }
    let total = Double(max(1, scores.count))
    return Best(value: 100 * best.value / total, threshold: best.threshold)
  }
}
