/// How a model did on the validation data, by the kind of its task.
///
/// Written as the report of the task itself, without a wrapper around it.
public enum ValidationReport: Codable, Hashable, Sendable {
  /// Pictures or texts with one class each.
  case classes(ClassificationReport)
  /// Tokens behind masks.
  case masked(MaskedReport)

  /// The mean loss, if it was measured and is finite.
  public var loss: Double? {
    switch self {
    case .classes(let report): report.loss
    case .masked(let report): report.loss
    }
  }

  /// The share of right answers, from 0 to 1.
  public var accuracy: Double {
    switch self {
    case .classes(let report): report.accuracy
    case .masked(let report): report.accuracy
    }
  }

  /// What the task is judged by.
  public var headline: (name: String, value: Double) {
    switch self {
    case .classes(let report): ("accuracy", report.accuracy)
    case .masked(let report): ("perplexity", report.perplexity)
    }
  }

  /// Whether this is better than `other`, of the same task; anything is better than nothing.
  func isBetter(than other: ValidationReport?) -> Bool {
    guard let other else { return true }
    return switch self {
    case .classes: accuracy > other.accuracy
    case .masked: (loss ?? .infinity) < (other.loss ?? .infinity)
    }
  }

  /// The columns of `metrics.csv` besides the loss.
  var columns: [(name: String, value: Double)] {
    switch self {
    case .classes(let report):
      [
        ("accuracy", report.accuracy), ("top_k_accuracy", report.topK.accuracy),
        ("macro_f1", report.macroF1),
      ]
    case .masked(let report): [("perplexity", report.perplexity), ("accuracy", report.accuracy)]
    }
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let report = try? container.decode(MaskedReport.self) {
      self = .masked(report)
    } else {
      self = .classes(try container.decode(ClassificationReport.self))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .classes(let report): try container.encode(report)
    case .masked(let report): try container.encode(report)
    }
  }
}
