/// How well classes were found, computed from the answers of a whole data set: GLUE's measures for
/// classification. Shares are from 0 to 1.
public struct AnswerScores: Codable, Sendable, Hashable {
  public let samples: Int
  public let accuracy: Double
  /// The F1 of class 1, the positive one, where there are two classes (MRPC, QQP); nil otherwise.
  public let f1: Double?
  /// The mean F1 of the classes that occur among labels or answers.
  public let macroF1: Double
  /// Matthews' correlation (CoLA), for more classes in Gorodkin's form: -1 to 1; 0 where all labels, or
  /// all answers, are the same.
  public let matthews: Double

  enum CodingKeys: String, CodingKey {
    case samples, accuracy, f1, matthews
    case macroF1 = "macro_f1"
  }

  /// - Parameters:
  ///   - answers: the class given to each sample.
  ///   - labels: the class of each.
  public init(answers: [Int], labels: [Int], classCount: Int) {
    precondition(answers.count == labels.count, "\(answers.count) answers, \(labels.count) labels")
    var given = [Int](repeating: 0, count: classCount)
    var support = given
    var correct = given
    for (answer, label) in zip(answers, labels) {
      given[answer] += 1
      support[label] += 1
      if answer == label { correct[label] += 1 }
    }
    func f1(_ index: Int) -> Double {
      let sum = given[index] + support[index]
      return sum == 0 ? 0 : 2 * Double(correct[index]) / Double(sum)
    }
    samples = labels.count
    let right = correct.reduce(0, +)
    accuracy = samples == 0 ? 0 : Double(right) / Double(samples)
    self.f1 = classCount == 2 ? f1(1) : nil
    let seen = (0..<classCount).filter { given[$0] + support[$0] > 0 }
    macroF1 = seen.isEmpty ? 0 : seen.reduce(0) { $0 + f1($1) } / Double(seen.count)
    matthews = Self.matthews(right: right, samples: samples, given: given, support: support)
  }

  /// The correlation of the classes' indicators, summed over the classes.
  private static func matthews(
    right: Int, samples: Int, given: [Int], support: [Int]
  ) -> Double {
    func product(_ a: [Int], _ b: [Int]) -> Double {
      zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }
    let squared = Double(samples) * Double(samples)
    let covariance = Double(right) * Double(samples) - product(given, support)
    let spread = (squared - product(given, given)) * (squared - product(support, support))
    return spread > 0 ? covariance / spread.squareRoot() : 0
  }
}
