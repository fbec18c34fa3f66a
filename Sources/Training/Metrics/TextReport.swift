/// How well a model found the classes, or the values, of texts.
public struct TextReport: Codable, Hashable, Sendable {
  /// One file of the data: MultiNLI has two for validation.
  public struct Part: Codable, Hashable, Sendable {
    /// The file's name without its ending.
    public let name: String
    public let samples: Int
    /// The mean loss, if it is finite.
    public let loss: Double?
    /// Of classes: how well each was found, and GLUE's scores; nil for values.
    public let classes: ClassificationReport?
    public let answers: AnswerScores?
    /// Of values: GLUE's scores; nil for classes.
    public let values: ValueScores?
  }

  public let parts: [Part]

  public init(_ parts: [Part]) { self.parts = parts }

  public var samples: Int { parts.reduce(0) { $0 + $1.samples } }

  /// The mean over all texts; nil where it was not finite.
  public var loss: Double? { mean(\.loss) }

  /// The share of all texts whose class was found; nil for values.
  public var accuracy: Double? { mean { $0.answers?.accuracy } }

  /// The mean of the parts' Matthews correlations; nil for values.
  public var matthews: Double? { mean { $0.answers?.matthews } }

  /// What the task is judged by: "accuracy", or of values "spearman", -1 where it has no value.
  var headline: (name: String, value: Double) {
    accuracy.map { ("accuracy", $0) } ?? ("spearman", mean { $0.values?.spearman } ?? -1)
  }

  /// The columns of `metrics.csv`; of several parts each has its own besides those of all.
  var columns: [(name: String, value: Double)] {
    func columns(_ suffix: String, _ parts: [Part]) -> [(name: String, value: Double)] {
      let part = TextReport(parts)
      if let accuracy = part.accuracy {
        return [
          ("accuracy\(suffix)", accuracy),
          ("macro_f1\(suffix)", part.mean { $0.answers?.macroF1 } ?? .nan),
          ("matthews\(suffix)", part.mean { $0.answers?.matthews } ?? .nan),
        ]
      }
      return [
        ("pearson\(suffix)", part.mean { $0.values?.pearson } ?? .nan),
        ("spearman\(suffix)", part.mean { $0.values?.spearman } ?? .nan),
      ]
    }
    let all = columns("", parts)
    return parts.count < 2 ? all : all + parts.flatMap { columns("_\($0.columnName)", [$0]) }
  }

  /// The mean over the parts by their numbers of texts; nil where a part has none.
  private func mean(_ value: (Part) -> Double?) -> Double? {
    var sum = 0.0
    for part in parts {
      guard let value = value(part) else { return nil }
      sum += value * Double(part.samples)
    }
    return samples > 0 ? sum / Double(samples) : nil
  }

  /// The scores of each part, and of classes their tables, in aligned columns.
  public var table: String {
    parts.map { part in
      (parts.count > 1 ? "\(part.name)\n" : "") + part.table
    }.joined(separator: "\n\n")
  }
}

extension TextReport.Part {
  /// The name without what would end a field of `metrics.csv`.
  fileprivate var columnName: String {
    String(name.map { $0 == "," || $0 == "\"" || $0.isNewline ? "_" : $0 })
  }

  /// "spearman 0.861, pearson 0.859, loss 0.0021, 1500 texts", or the tables of classes.
  fileprivate var table: String {
    func number(_ value: Double?) -> String { value.map { decimal($0, 3) } ?? "-" }
    let end = (loss.map { ", loss \(decimal($0, 4))" } ?? "") + ", \(samples) texts"
    if let values {
      return "spearman \(number(values.spearman)), pearson \(number(values.pearson)), "
        + "mean squared error \(number(values.meanSquaredError))" + end
    }
    guard let answers, let classes else { return end }
    let f1 = answers.f1.map { ", F1 \(decimal($0, 3))" } ?? ""
    return "\(decimal(100 * answers.accuracy, 2)) % right\(f1), macro F1 "
      + "\(decimal(answers.macroF1, 3)), Matthews \(decimal(answers.matthews, 3))\(end)\n\n"
      + classes.details(of: "texts")
  }
}
