import Torch

/// How a model did on the validation data, by the kind of its task.
///
/// Written as the report of the task itself, without a wrapper around it.
public enum ValidationReport: Codable, Hashable, Sendable {
  /// Pictures with one class each.
  case classes(ClassificationReport)
  /// Tokens behind masks.
  case masked(MaskedReport)
  /// Texts with a class or a value each.
  case texts(TextReport)
  /// Questions about texts.
  case questions(QuestionReport)

  /// The mean loss, if it was measured and is finite.
  public var loss: Double? {
    switch self {
    case .classes(let report): report.loss
    case .masked(let report): report.loss
    case .texts(let report): report.loss
    case .questions(let report): report.loss
    }
  }

  /// What the task is judged by, under its name in `metrics.csv`: "accuracy" from 0 to 1,
  /// "perplexity", "spearman", "f1" in percent.
  public var headline: (name: String, value: Double) {
    switch self {
    case .classes(let report): ("accuracy", report.accuracy)
    case .masked(let report): ("perplexity", report.perplexity)
    case .texts(let report): report.headline
    case .questions(let report): ("f1", report.score.f1)
    }
  }

  /// Whether this is better than `other`, of the same task; anything is better than nothing.
  func isBetter(than other: ValidationReport?) -> Bool {
    guard let other else { return true }
    let (mine, theirs) = (headline.value, other.headline.value)
    if case .masked = self { return mine < theirs }
    return mine > theirs
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
    case .texts(let report): report.columns
    case .questions(let report): report.columns
    }
  }

  public init(from decoder: any Decoder) throws {
    let keys = Set(try decoder.container(keyedBy: FieldKey.self).allKeys.map(\.stringValue))
    let container = try decoder.singleValueContainer()
    if keys.contains("masked_tokens") {
      self = .masked(try container.decode(MaskedReport.self))
    } else if keys.contains("parts") {
      self = .texts(try container.decode(TextReport.self))
    } else if keys.contains("score") {
      self = .questions(try container.decode(QuestionReport.self))
    } else {
      self = .classes(try container.decode(ClassificationReport.self))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .classes(let report): try container.encode(report)
    case .masked(let report): try container.encode(report)
    case .texts(let report): try container.encode(report)
    case .questions(let report): try container.encode(report)
    }
  }
}
