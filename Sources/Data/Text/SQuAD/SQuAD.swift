import Foundation
import Torch

/// Questions about paragraphs of text, whose answers are spans of the text (Rajpurkar et al., "SQuAD",
/// arXiv 1606.05250; version 2.0 with questions that have no answer, arXiv 1806.03822).
public struct SQuAD: Sendable {
  /// An answer that a person gave.
  public struct Answer: Hashable, Sendable {
    public let text: String
    /// Where it stands: offsets in the context's UTF-8 bytes; nil when it does not stand there.
    public let range: Range<Int>?
  }

  public struct Question: Hashable, Sendable {
    public let id: String
    public let text: String
    /// The place of its text in ``SQuAD/contexts``.
    public let context: Int
    /// None where ``isImpossible``, or where they are not told.
    public let answers: [Answer]
    public let isImpossible: Bool
  }

  /// The file.
  public let name: String
  /// What the file says: "1.1", "v2.0".
  public let version: String?
  public private(set) var contexts: [String] = []
  public private(set) var questions: [Question] = []
  /// Answers that do not stand where the file says, by question: they count for the scores, but
  /// cannot be learnt.
  public private(set) var misplacedAnswers: [String] = []
  /// How many texts had invalid UTF-8 or half a surrogate pair, which was replaced.
  public let repairedTexts: Int

  /// Whether there are questions without an answer: then a model may answer nothing.
  public var hasImpossible: Bool { questions.contains(where: \.isImpossible) }

  /// What a user should know, a line for each kind.
  public var remarks: [String] {
    var remarks: [String] = []
    if !misplacedAnswers.isEmpty {
      remarks.append(
        "\(misplacedAnswers.count) answers that do not stand where the file says "
          + "(\(listed(misplacedAnswers)))")
    }
    if repairedTexts > 0 {
      remarks.append("\(repairedTexts) texts with invalid characters, replaced")
    }
    return remarks
  }

  /// Reads a file of SQuAD's form.
  ///
  /// - Throws: `MingleError` (`missingInput`) when there is no such file; (`badData`) when it is not
  ///   JSON or not of the form: the message tells where.
  public init(_ path: String) throws {
    let contents = try FileContents(path)
    let (value, repaired) = try contents.withUnsafeBytes { bytes in
      guard !bytes.isEmpty else {
        throw MingleError(.badData, "an empty file", in: path, expected: "SQuAD's JSON")
      }
      var parser = JSONParser(bytes, in: path)
      return (try parser.parse(), parser.repairedTexts)
    }
    name = path
    repairedTexts = repaired
    let root = JSONPlace(value, path: path)
    version = value["version"]?.scalarText
    var ids: Set<String> = []
    for article in try root.list("data") {
      for paragraph in try article.list("paragraphs") {
        let context = try paragraph.text("context")
        let offsets = ScalarOffsets(context)
        for item in try paragraph.list("qas") {
          let question = try question(item, context, offsets)
          guard ids.insert(question.id).inserted else {
            throw item.failure("the id '\(question.id)' twice")
          }
          questions.append(question)
        }
        contexts.append(context)
      }
    }
    guard !questions.isEmpty else { throw noSamples(in: path, expected: "questions") }
  }

  /// The questions about some of the texts; the texts are taken in the order of `places`.
  package func subset(contexts places: [Int]) -> SQuAD {
    var result = self
    result.contexts = places.map { contexts[$0] }
    let newPlaces = Dictionary(places.enumerated().map { ($1, $0) }) { first, _ in first }
    result.questions = questions.compactMap { question in
      newPlaces[question.context].map { place in
        Question(
          id: question.id, text: question.text, context: place, answers: question.answers,
          isImpossible: question.isImpossible)
      }
    }
    return result
  }

  /// The first `count` questions, or all where there are fewer.
  package func first(_ count: Int) -> SQuAD {
    var result = self
    result.questions = Array(questions.prefix(max(1, count)))
    return result
  }

  /// One question about one text.
  public init(question: String, context: String) {
    name = "the question"
    version = nil
    repairedTexts = 0
    contexts = [context]
    questions = [
      Question(id: "0", text: question, context: 0, answers: [], isImpossible: false)
    ]
  }

  private mutating func question(
    _ item: JSONPlace, _ context: String, _ offsets: ScalarOffsets
  ) throws -> Question {
    let id = try item.text("id")
    let isImpossible = try item.boolean("is_impossible") ?? false
    let answers = try (item.has("answers") ? item.list("answers") : []).map { answer in
      let text = try answer.text("text")
      let start = try answer.integer("answer_start")
      let range = offsets.range(of: text, at: start, in: context)
      if range == nil { misplacedAnswers.append(id) }
      return Answer(text: text, range: range)
    }
    guard !isImpossible || answers.isEmpty else {
      throw item.failure("answers to a question that is impossible")
    }
    return Question(
      id: id, text: try item.text("question"), context: contexts.count, answers: answers,
      isImpossible: isImpossible)
  }
}

/// From offsets counted in Unicode scalars, as Python counts, to those in UTF-8 bytes.
struct ScalarOffsets {
  /// For each scalar, and the end, the byte; nil where they are the same.
  private let bytes: [Int]?

  init(_ text: String) {
    let scalars = text.unicodeScalars
    guard scalars.count != text.utf8.count else {
      bytes = nil
      return
    }
    var bytes = [0]
    for scalar in scalars { bytes.append(bytes[bytes.count - 1] + UTF8.width(scalar)) }
    self.bytes = bytes
  }

  /// The bytes of `text` in `context` from scalar `start` on; nil if it does not stand there.
  func range(of text: String, at start: Int, in context: String) -> Range<Int>? {
    let byte: Int
    if let bytes {
      guard bytes.indices.contains(start) else { return nil }
      byte = bytes[start]
    } else {
      byte = start
    }
    let count = text.utf8.count
    guard count > 0, byte >= 0, byte <= context.utf8.count - count else { return nil }
    let found = context.utf8.dropFirst(byte).prefix(count)
    return found.elementsEqual(text.utf8) ? byte..<byte + count : nil
  }
}

extension UTF8 {
  fileprivate static func width(_ scalar: Unicode.Scalar) -> Int {
    switch scalar.value {
    case ..<0x80: 1
    case ..<0x800: 2
    case ..<0x10000: 3
    default: 4
    }
  }
}
