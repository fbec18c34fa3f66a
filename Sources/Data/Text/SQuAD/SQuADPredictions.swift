import Foundation
import Torch

/// How answers are chosen from a model's scores.
public struct SQuADAnswerOptions: Codable, Hashable, Sendable {
  /// The longest answer, in tokens.
  public var lengthLimit = 30
  /// How many answers of a question are kept.
  public var count = 20
  /// Whether a question may have no answer (SQuAD 2.0).
  public var allowsNone = false
  /// No answer is given when its score is above that of the best answer by more than this.
  public var noneThreshold = 0.0

  public init() {}

  enum CodingKeys: String, CodingKey {
    case lengthLimit = "length_limit", count, allowsNone = "allows_none"
    case noneThreshold = "none_threshold"
  }
}

/// What a model answers to a question.
public struct SQuADPrediction: Hashable, Sendable {
  public struct Answer: Hashable, Sendable {
    /// Cut from the context as it stands there.
    public let text: String
    /// Its bytes in the context.
    public let range: Range<Int>
    /// The sum of the scores of its first and last token.
    public let score: Double
    /// The share of the answer among all that were kept, no answer included where it is allowed.
    public let probability: Double
  }

  public let id: String
  /// The best first; the same text counts once.
  public let answers: [Answer]
  /// How far the score of no answer lies above that of the best.
  public let noneScore: Double
  /// The answer given: empty for none.
  public let text: String
}

/// Gathers the scores of windows and finds the answers.
public struct SQuADPredictor: Sendable {
  private struct Candidate: Sendable {
    let score: Double
    let range: Range<Int>
  }

  private let data: SQuADWindows
  private let options: SQuADAnswerOptions
  private var candidates: [[Candidate]]
  private var noneScores: [Double]

  public init(_ data: SQuADWindows, options: SQuADAnswerOptions = SQuADAnswerOptions()) {
    precondition(options.lengthLimit > 0 && options.count > 0, "answers of no length")
    self.data = data
    self.options = options
    candidates = Array(repeating: [], count: data.data.questions.count)
    noneScores = Array(repeating: .infinity, count: data.data.questions.count)
  }

  /// Takes in a batch.
  ///
  /// - Parameters:
  ///   - logits: scores of each token as first and as last of the answer: [B, S, 2], on any device.
  ///   - indices: the windows' places.
  public mutating func add(_ logits: Tensor, indices: [Int]) {
    precondition(
      logits.rank == 3 && logits.shape[0] == indices.count && logits.shape[2] == 2,
      "logits \(logits) for \(indices.count) windows")
    let length = logits.shape[1]
    let values = logits.detached().array(of: Float.self)
    for (row, index) in indices.enumerated() {
      let scores = values[row * length * 2..<(row + 1) * length * 2]
      add(ArraySlice(scores), of: data.windows[index])
    }
  }

  private mutating func add(_ scores: ArraySlice<Float>, of window: SQuADWindow) {
    let base = scores.startIndex
    func start(_ token: Int) -> Double { Double(scores[base + 2 * token]) }
    func end(_ token: Int) -> Double { Double(scores[base + 2 * token + 1]) }
    noneScores[window.question] = min(noneScores[window.question], start(0) + end(0))
    var best = BestFew<Candidate>(count: options.count)
    let shift = window.textStart - window.span.lowerBound
    for first in window.bestSeen {
      let firstScore = start(first + shift)
      for last in first..<min(first + options.lengthLimit, window.span.upperBound) {
        let score = firstScore + end(last + shift)
        guard score > best.least else { continue }
        let low = window.contextRanges[first].lowerBound
        let high = window.contextRanges[last].upperBound
        if low < high { best.add(Candidate(score: score, range: low..<high), score: score) }
      }
    }
    candidates[window.question] += best.elements
  }

  /// The answers to all questions, in their order.
  public func predictions() -> [SQuADPrediction] {
    data.data.questions.indices.map(prediction)
  }

  private func prediction(_ index: Int) -> SQuADPrediction {
    let question = data.data.questions[index]
    let context = data.data.contexts[question.context]
    var seen: Set<String> = []
    var kept: [(text: String, candidate: Candidate)] = []
    // Among equals the one that stands first.
    let sorted = candidates[index].sorted {
      ($1.score, $0.range.lowerBound, $0.range.upperBound)
        < ($0.score, $1.range.lowerBound, $1.range.upperBound)
    }
    for candidate in sorted where kept.count < options.count {
      let (text, range) = trimmed(candidate.range, of: context)
      if !text.isEmpty, seen.insert(text).inserted {
        kept.append((text, Candidate(score: candidate.score, range: range)))
      }
    }
    let none = noneScores[index]
    let scores = kept.map(\.candidate.score) + (options.allowsNone ? [none] : [])
    let shares = softmax(scores)
    let answers = zip(kept, shares).map { item, share in
      SQuADPrediction.Answer(
        text: item.text, range: item.candidate.range, score: item.candidate.score,
        probability: share)
    }
    let noneScore = answers.first.map { none - $0.score } ?? 0
    let isNone = options.allowsNone && noneScore > options.noneThreshold
    return SQuADPrediction(
      id: question.id, answers: answers, noneScore: noneScore,
      text: isNone ? "" : answers.first?.text ?? "")
  }
}

/// A part of a text without white space at its ends: tokens may have a space before them.
private func trimmed(_ range: Range<Int>, of context: String) -> (text: String, Range<Int>) {
  let utf8 = context.utf8
  let start = utf8.index(utf8.startIndex, offsetBy: range.lowerBound)
  let end = utf8.index(utf8.startIndex, offsetBy: range.upperBound)
  var scalars = context.unicodeScalars[start..<end]
  while scalars.first?.properties.isWhitespace ?? false { scalars.removeFirst() }
  while scalars.last?.properties.isWhitespace ?? false { scalars.removeLast() }
  let low = utf8.distance(from: utf8.startIndex, to: scalars.startIndex)
  let text = String(scalars)
  return (text, low..<low + text.utf8.count)
}

private func softmax(_ scores: [Double]) -> [Double] {
  guard let largest = scores.max() else { return [] }
  let powers = scores.map { exp($0 - largest) }
  let sum = powers.reduce(0, +)
  return powers.map { $0 / sum }
}

/// The elements with the highest scores.
private struct BestFew<Element> {
  private(set) var elements: [Element] = []
  private var scores: [Double] = []
  private let count: Int
  /// What a score must exceed.
  private(set) var least = -Double.infinity

  init(count: Int) { self.count = count }

  mutating func add(_ element: Element, score: Double) {
    let place = scores.firstIndex { $0 < score } ?? scores.count
    scores.insert(score, at: place)
    elements.insert(element, at: place)
    if scores.count > count {
      scores.removeLast()
      elements.removeLast()
    }
    if scores.count == count { least = scores[count - 1] }
  }
}
