import Checkpoints
import Foundation
import Models

/// What the networks of a ``Comparison`` reached.
public struct ComparisonResult: Encodable, Sendable {
  /// One network.
  public struct Row: Encodable, Sendable {
    public let name: String
    public let model: String
    public let parameters: Int
    /// Multiply-adds for one picture, or one token of text.
    public let multiplyAdds: Int
    /// Pictures, or tokens of text, read in training: the run's budget.
    public let units: Int
    /// The best epoch, counted from 1, and what it reached on the validation data.
    public let bestEpoch: Int
    public let validation: ValidationReport
    /// Pictures, or tokens of text, in training; the mean over epochs.
    public let unitsPerSecond: Double
    /// Of training.
    public let seconds: Double
    /// The epochs of the run's `metrics.csv`.
    let epochs: [MetricsRow]
    let words: TaskWords

    enum CodingKeys: String, CodingKey {
      case name, model, parameters, units, validation, seconds
      case multiplyAdds = "multiply_adds", bestEpoch = "best_epoch"
      case unitsPerSecond = "units_per_second"
    }

    init(_ entry: Comparison.Entry, _ trainer: Trainer, _ best: EpochReport, seconds: Double) {
      name = entry.name
      model = entry.recipe.model
      parameters = trainer.model.parameterCount
      let task = trainer.task
      multiplyAdds = trainer.model.multiplyAdds / task.unitsPerInput
      units = trainer.recipe.epochs * task.data.trainingSamples * task.unitsPerInput
      bestEpoch = best.epoch
      validation = best.validation
      epochs = trainer.folder?.metrics() ?? []
      unitsPerSecond = epochs.reduce(0) { $0 + $1.unitsPerSecond } / Double(max(1, epochs.count))
      self.seconds = seconds
      words = task.words
    }
  }

  public let title: String
  public let rows: [Row]

  /// The rows as a table of Markdown.
  public var markdown: String {
    (["| " + columns.joined(separator: " | ") + " |", "|---" + rule] + rows.map(line))
      .joined(separator: "\n") + "\n"
  }

  private var rule: String { String(repeating: "|--:", count: columns.count - 1) + "|" }

  private var columns: [String] {
    let words = rows.first?.words ?? .pictures
    let measures = rows.first?.validation.columns.map { $0.name.replacing("_", with: " ") } ?? []
    let units = words.units.capitalized
    return ["Network", "Parameters", "Multiply-adds per \(words.unit)", "\(units) read"]
      + measures.map { $0.prefix(1).uppercased() + $0.dropFirst() }
      + ["\(units)/s", "Training"]
  }

  private func cells(_ row: Row) -> [String] {
    [row.name, grouped(row.parameters), grouped(row.multiplyAdds), grouped(row.units)]
      + row.validation.columns.map { name, value in
        switch name {
        case "perplexity", "exact_match", "f1": decimal(value, 2)
        case _ where Self.correlations.contains(where: name.hasPrefix): decimal(value, 3)
        default: decimal(100 * value, 2) + " %"
        }
      } + [grouped(Int(row.unitsPerSecond)), duration(row.seconds)]
  }

  /// The measures that are no shares; of several parts each adds its name.
  private static let correlations = ["pearson", "spearman", "matthews"]

  private func line(_ row: Row) -> String { "| " + cells(row).joined(separator: " | ") + " |" }

  static let fileNames = ["table.md", "table.json", "report.html"]

  /// Writes ``fileNames``.
  func write(to folder: String) throws {
    try writeAtomically(markdown, to: "\(folder)/\(Self.fileNames[0])")
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    let json = String(decoding: try encoder.encode(self), as: UTF8.self)
    try writeAtomically(json + "\n", to: "\(folder)/\(Self.fileNames[1])")
    try writeAtomically(html, to: "\(folder)/\(Self.fileNames[2])")
  }
}

// MARK: - The page

extension ComparisonResult {
  /// The table, and the curves of all networks over each other.
  var html: String {
    let head = columns.map { "<th scope=\"col\">\(escaped($0))</th>" }.joined()
    let body = rows.map { row in
      let cells = cells(row)
      return "<tr><th scope=\"row\">\(escaped(cells[0]))</th>"
        + cells.dropFirst().map { "<td>\(escaped($0))</td>" }.joined() + "</tr>"
    }
    return page(
      title: title,
      """
      <section>
      <div class="scroll"><table class="networks">
      <thead><tr>\(head)</tr></thead>
      <tbody>
      \(body.joined(separator: "\n"))
      </tbody>
      </table></div>
      </section>
      <section class="charts">
      \(charts.map(\.figure).joined(separator: "\n"))
      </section>
      """)
  }

  private var charts: [LineChart] {
    let plain: (Double, Double) -> String = { value, step in
      decimal(value, max(0, Int((-log10(max(step, 1e-9)) - 1e-6).rounded(.up))))
    }
    let share: (Double, Double) -> String = { value, step in plain(100 * value, 100 * step) + " %" }
    func chart(
      _ title: String, label: @escaping (Double, Double) -> String = plain,
      _ value: (MetricsRow) -> Double?
    ) -> LineChart? {
      let colors = LineChart.Color.allCases
      let series = rows.enumerated().map { index, row in
        LineChart.Series(
          name: row.name, color: colors[index % colors.count],
          points: row.epochs.compactMap { epoch in
            value(epoch).map { LineChart.Point(epoch: epoch.epoch, value: $0) }
          })
      }
      guard series.contains(where: { !$0.points.isEmpty }) else { return nil }
      return LineChart(title: title, series: series, includesZero: false, label: label)
    }
    return [
      chart("Validation perplexity") { $0.perplexity },
      chart("Validation accuracy", label: share) { $0.accuracy },
      chart("Validation F1, in percent") { $0.f1 },
      chart("Validation loss") { $0.validationLoss }, chart("Training loss") { $0.trainingLoss },
    ].compactMap(\.self)
  }
}
