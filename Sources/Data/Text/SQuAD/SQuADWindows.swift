import Torch

/// How questions and their texts become inputs of a model.
public struct SQuADWindowOptions: Codable, Hashable, Sendable {
  /// Tokens from the beginning of a window to that of the next; nil for 128, or half a window's text
  /// where that is less.
  public var stride: Int?
  /// Longer questions are cut; as are those that take more than half the model's length.
  public var questionLimit = 64

  public init() {}

  package static var fields: [Field<SQuADWindowOptions>] {
    [
      Field("stride", \.stride), Field("question_limit", \.questionLimit),
    ]
  }

  /// A key that is not there keeps its default.
  public init(from decoder: any Decoder) throws {
    self.init()
    try Self.fields.read(into: &self, from: decoder)
  }

  public func encode(to encoder: any Encoder) throws { try Self.fields.write(self, to: encoder) }
}

/// A part of a text beside a question: `<cls> question <sep> part of the text <sep>`.
public struct SQuADWindow: Sendable {
  /// The place of the question.
  public let question: Int
  /// The tokens; segment 0 is the question.
  public let text: EncodedText
  /// For each token of the whole text its bytes; all windows of the text share them.
  let contextRanges: [Range<Int>]
  /// The tokens of the text in the window.
  let span: Range<Int>
  /// Those of them that are better seen here than in any other window.
  package let bestSeen: Range<Int>
  /// The tokens of an answer; 0 and 0 (`<cls>`) where the window has none. Nil for what is to be
  /// answered.
  public let target: Span?

  /// First and last token.
  public struct Span: Hashable, Sendable {
    public let start: Int
    public let end: Int
  }

  /// Where the text begins among the tokens.
  var textStart: Int { text.firstCount }
}

/// The windows of all questions.
///
/// A text that is longer than the model reads is read in windows that begin every `stride` tokens. A
/// token lies in several of them; an answer may begin only in the one where the token has the most
/// context on its poorer side (BERT's rule).
public struct SQuADWindows: Sendable {
  public let data: SQuAD
  public let encoder: PairEncoder
  public let windows: [SQuADWindow]
  /// Questions that were cut.
  public let cutQuestions: Int
  /// Questions with an answer none of whose windows holds it whole: they cannot be learnt.
  public let lostAnswers: Int

  /// - Parameters:
  ///   - isForTraining: With the tokens of each question's first answer as target.
  ///   - workers: Threads that tokenise.
  /// - Throws: `MingleError` (`usage`) when options leave no room for the text.
  public init(
    _ data: SQuAD, encoder: PairEncoder, options: SQuADWindowOptions = SQuADWindowOptions(),
    isForTraining: Bool, workers: Int = 1
  ) throws {
    guard options.questionLimit > 0 else {
      throw MingleError(
        .usage, "question_limit is out of range", expected: "at least 1",
        got: "\(options.questionLimit)")
    }
    let questionLimit = min(options.questionLimit, encoder.length / 2)
    let room = encoder.length - 3 - questionLimit
    guard room > 0 else {
      throw MingleError(
        .usage, "no room for a text beside its question", expected: "at least 7 tokens",
        got: "\(encoder.length)", next: "choose a larger length")
    }
    let stride = options.stride ?? min(128, max(1, room / 2))
    guard (1...room).contains(stride) else {
      throw MingleError(
        .usage, "windows that leave out text",
        expected: "a stride of 1 to \(room): the length of \(encoder.length) less 3 and a "
          + "question of \(questionLimit)", got: "\(stride)",
        next: "choose a smaller stride or question_limit")
    }
    var byContext = [[Int]](repeating: [], count: data.contexts.count)
    for (index, question) in data.questions.enumerated() {
      byContext[question.context].append(index)
    }
    let groups = byContext.enumerated().filter { !$1.isEmpty }
    let stream = PreparedStream(0..<groups.count, workers: workers, ahead: 4 * workers) { index in
      let tokens = encoder.tokenizer.tokens(in: data.contexts[groups[index].offset])
      let ranges = tokens.map(\.range)
      return groups[index].element.map { question in
        QuestionWindows(
          data, question, contextTokens: tokens, contextRanges: ranges, encoder: encoder,
          questionLimit: questionLimit,
          stride: stride, isForTraining: isForTraining)
      }
    }
    var all: [QuestionWindows] = []
    while let group = try stream.next() { all += group }
    all.sort { $0.question < $1.question }
    self.data = data
    self.encoder = encoder
    windows = all.flatMap(\.windows)
    cutQuestions = all.count { $0.isQuestionCut }
    lostAnswers = all.count { $0.isAnswerLost }
  }
}

/// The windows of one question.
private struct QuestionWindows: Sendable {
  let question: Int
  private(set) var windows: [SQuADWindow] = []
  let isQuestionCut: Bool
  let isAnswerLost: Bool

  init(
    _ data: SQuAD, _ index: Int, contextTokens: [Token], contextRanges: [Range<Int>],
    encoder: PairEncoder, questionLimit: Int, stride: Int, isForTraining: Bool
  ) {
    question = index
    let item = data.questions[index]
    let words = encoder.tokenizer.encode(item.text)
    isQuestionCut = words.count > questionLimit
    let head = Array(words.prefix(questionLimit))
    let spans = windowRanges(
      count: contextTokens.count, room: encoder.length - 3 - head.count, stride: stride)
    let answer = isForTraining ? answerTokens(item, contextTokens) : nil
    var isFound = false
    for (number, span) in spans.enumerated() {
      let tokens = contextTokens[span]
      let text = encoder.encode(head, tokens.map(\.id))
      var target = isForTraining ? SQuADWindow.Span(start: 0, end: 0) : nil
      if let answer, span.contains(answer.lowerBound), span.contains(answer.upperBound) {
        let shift = text.firstCount - span.lowerBound
        target = .init(start: answer.lowerBound + shift, end: answer.upperBound + shift)
        isFound = true
      }
      windows.append(
        SQuADWindow(
          question: index, text: text, contextRanges: contextRanges, span: span,
          bestSeen: bestSeen(in: number, of: spans), target: target))
    }
    isAnswerLost = isForTraining && !item.isImpossible && !isFound
  }
}

/// Ranges of at most `room` tokens, beginning every `stride`, that cover `count` tokens.
private func windowRanges(count: Int, room: Int, stride: Int) -> [Range<Int>] {
  var ranges: [Range<Int>] = []
  var start = 0
  repeat {
    ranges.append(start..<min(start + room, count))
    start += stride
  } while ranges[ranges.count - 1].upperBound < count
  return ranges
}

/// The tokens that overlap the first answer that stands in the text, as a closed range.
private func answerTokens(_ question: SQuAD.Question, _ tokens: [Token]) -> ClosedRange<Int>? {
  guard let range = question.answers.lazy.compactMap(\.range).first,
    let start = tokens.firstIndex(where: {
      $0.range.upperBound > range.lowerBound && !$0.range.isEmpty
    }),
    let end = tokens.lastIndex(where: {
      $0.range.lowerBound < range.upperBound && !$0.range.isEmpty
    }), start <= end
  else { return nil }
  return start...end
}

/// The tokens that have more context on their poorer side in this span than in any other, the first of
/// equals; longer spans count a little more. They follow each other: going on by a token changes the
/// context in each span by one.
private func bestSeen(in number: Int, of spans: [Range<Int>]) -> Range<Int> {
  let own = spans[number]
  func context(_ token: Int, _ span: Range<Int>) -> Double {
    let least = min(token - span.lowerBound, span.upperBound - 1 - token)
    return Double(least) + 0.01 * Double(span.count)
  }
  // Others lie too far away to hold its tokens.
  let low = spans[..<number].lastIndex { $0.upperBound <= own.lowerBound }.map { $0 + 1 } ?? 0
  let neighbours =
    low..<(spans[number...].firstIndex { $0.lowerBound >= own.upperBound }
    ?? spans.count)
  func isBest(_ token: Int) -> Bool {
    neighbours.allSatisfy { other in
      guard other != number, spans[other].contains(token) else { return true }
      let (here, there) = (context(token, own), context(token, spans[other]))
      return other < number ? here > there : here >= there
    }
  }
  guard let first = own.first(where: isBest), let last = own.last(where: isBest) else {
    return own.lowerBound..<own.lowerBound
  }
  return first..<last + 1
}
