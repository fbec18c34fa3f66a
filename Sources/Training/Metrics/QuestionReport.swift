import Data

/// How well a model found the answers to questions.
public struct QuestionReport: Codable, Hashable, Sendable {
  /// The mean loss over the windows; nil where the answers' places are not known, or if it is not
  /// finite.
  public let loss: Double?
  /// SQuAD's official scores, in percent.
  public let score: SQuADScore

  /// The columns of `metrics.csv`, in percent.
  var columns: [(name: String, value: Double)] {
    [("exact_match", score.exactMatch), ("f1", score.f1)]
  }

  /// "exact match 80.88, F1 88.50, 10570 questions", and a line for each kind of question.
  public var table: String {
    func line(_ name: String, _ exact: Double, _ f1: Double, _ total: Int) -> String {
      "\(name)exact match \(decimal(exact, 2)), F1 \(decimal(f1, 2)), \(total) questions"
    }
    let parts = [("with an answer: ", score.withAnswer), ("without: ", score.withoutAnswer)]
    return
      ([line("", score.exactMatch, score.f1, score.total)]
      + parts.compactMap { name, part in
        part.map { line(name, $0.exactMatch, $0.f1, $0.total) }
      }
      + (score.missing > 0 ? ["\(score.missing) questions were not answered"] : []))
      .joined(separator: "\n")
  }
}
