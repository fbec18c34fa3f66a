import Foundation

/// A run on one page: figures, curves, the best epoch's classes, and the recipe.
package struct RunReport {
  package let model: String
  package let data: String
  package let parameterCount: Int
  package let trainingSamples: Int
  package let validationSamples: Int
  package let words: TaskWords
  package let plannedEpochs: Int
  /// The epochs that are done, in order.
  package let epochs: [MetricsRow]
  package let bestEpoch: Int
  /// How the best epoch did on the validation data.
  package let best: ValidationReport
  /// The run's `config.yaml`.
  package let recipe: String

  package init(
    model: String, data: String, parameterCount: Int, trainingSamples: Int,
    validationSamples: Int, words: TaskWords, plannedEpochs: Int, epochs: [MetricsRow],
    bestEpoch: Int, best: ValidationReport, recipe: String
  ) {
    self.model = model
    self.data = data
    self.parameterCount = parameterCount
    self.trainingSamples = trainingSamples
    self.validationSamples = validationSamples
    self.words = words
    self.plannedEpochs = plannedEpochs
    self.epochs = epochs
    self.bestEpoch = bestEpoch
    self.best = best
    self.recipe = recipe
  }

  /// One file that needs nothing else: no script, no font, no picture; light or dark as the reader
  /// likes it. Well-formed XML.
  package var html: String {
    let place = URL(filePath: data).lastPathComponent
    let title = "\(model) on \(place.isEmpty ? data : place)"
    return page(
      title: title,
      """
      <section class="figures">
      \(figures)
      </section>
      <section class="charts">
      \(charts.map(\.figure).joined(separator: "\n"))
      </section>
      \(tables.map { "<section>\n\($0)\n</section>" }.joined(separator: "\n"))
      <section>
      <h2>Recipe</h2>
      <pre>\(escaped(recipe))</pre>
      </section>
      """)
  }

  private var figures: String {
    let seconds = epochs.last?.seconds ?? 0
    let done = epochs.last?.epoch ?? 0
    let items: [(String, String, String)] =
      results + [
        (
          "Epochs", grouped(done),
          done < plannedEpochs ? "of \(grouped(plannedEpochs))" : "all done"
        ),
        (
          "Training time", duration(seconds), "\(duration(seconds / Double(max(1, done)))) an epoch"
        ),
        ("Parameters", grouped(parameterCount), "with the head"),
        (
          words.samples.capitalized, grouped(trainingSamples),
          "\(grouped(validationSamples)) to validate"
        ),
      ]
    return items.map { name, value, note in
      "<div><span>\(name)</span><b>\(value)</b><span>\(note)</span></div>"
    }.joined(separator: "\n")
  }

  /// The best epoch's figures: name, value, and what it is.
  private var results: [(String, String, String)] {
    let place = "in epoch \(bestEpoch)"
    func number(_ value: Double?) -> String { value.map { decimal($0, 3) } ?? "-" }
    switch best {
    case .classes(let report):
      return [
        ("Best accuracy", percent(report.accuracy), place),
        ("Macro F1", decimal(report.macroF1, 3), "in that epoch"),
      ]
    case .masked(let report):
      return [
        ("Best perplexity", decimal(report.perplexity, 2), place),
        ("Accuracy", percent(report.accuracy), "of masked tokens, in that epoch"),
      ]
    case .texts(let report):
      guard let accuracy = report.accuracy else {
        let values = report.parts.first?.values
        return [
          ("Best Spearman correlation", decimal(report.headline.value, 3), place),
          ("Pearson correlation", number(values?.pearson), "in that epoch"),
        ]
      }
      let parts = report.parts.count > 1 ? report.parts : []
      return [("Best accuracy", percent(accuracy), place)]
        + parts.map { (escaped($0.name), percent($0.answers?.accuracy ?? 0), "accuracy there") }
        + [("Matthews correlation", number(report.matthews), "in that epoch")]
    case .questions(let report):
      return [
        ("Best F1", decimal(report.score.f1, 2), place),
        ("Exact match", decimal(report.score.exactMatch, 2), "in that epoch"),
      ]
    }
  }

  private var tables: [String] {
    switch best {
    case .classes(let report):
      [classTable(report, of: "Pictures")] + (confusionMatrix(report).map { [$0] } ?? [])
    case .texts(let report):
      report.parts.flatMap { part in
        guard let classes = part.classes else { return [String]() }
        let name = report.parts.count > 1 ? part.name : nil
        return [classTable(classes, of: "Texts", in: name)]
          + (confusionMatrix(classes).map { [$0] } ?? [])
      }
    case .masked, .questions: []
    }
  }

  private var charts: [LineChart] {
    let rows = shownEpochs
    func points(_ value: (MetricsRow) -> Double?) -> [LineChart.Point] {
      rows.compactMap { row in value(row).map { LineChart.Point(epoch: row.epoch, value: $0) } }
    }
    let plain = Axis.label
    let share: (Double, Double) -> String = { value, step in plain(100 * value, 100 * step) + " %" }
    let experts = [
      LineChart(
        title: "Use of experts",
        series: [
          .init(name: "least", points: points { $0.leastUsedExpert }),
          .init(name: "most", color: .two, points: points { $0.mostUsedExpert }),
        ], limits: 0...1, marked: bestEpoch, label: share),
      LineChart(
        title: "Balance loss of experts",
        series: [.init(name: "Balance loss of experts", points: points { $0.balanceLoss })],
        label: plain),
    ]
    func chart(
      _ title: String, limits: ClosedRange<Double> = 0...Double.greatestFiniteMagnitude,
      label: @escaping (Double, Double) -> String = plain, _ value: (MetricsRow) -> Double?
    ) -> [LineChart] {
      guard rows.contains(where: { value($0) != nil }) else { return [] }
      return [
        LineChart(
          title: title,
          series: [.init(name: "validation", color: .two, points: points(value))],
          limits: limits, includesZero: false, marked: bestEpoch, label: label)
      ]
    }
    let speed = "\(words.units.capitalized) per second"
    return [
      LineChart(
        title: "Loss",
        series: [
          .init(name: "training", points: points { $0.trainingLoss }),
          .init(name: "validation", color: .two, points: points { $0.validationLoss }),
        ], marked: bestEpoch, label: plain)
    ] + chart("Perplexity") { $0.perplexity }
      + chart("Accuracy", limits: 0...1, label: share) { $0.accuracy }
      + chart("F1, in percent", limits: 0...100) { $0.f1 }
      + chart("Spearman correlation", limits: -1...1) { $0.spearman } + [
        LineChart(
          title: "Learning rate",
          series: [.init(name: "Learning rate", points: points { $0.learningRate })], label: plain),
        LineChart(
          title: speed, series: [.init(name: speed, points: points { $0.unitsPerSecond })],
          label: plain),
      ] + (rows.contains { $0.balanceLoss != nil } ? experts : [])
  }

  /// All epochs, or of very many some, with the first, the last and the best.
  private var shownEpochs: [MetricsRow] {
    let stride = (epochs.count + 499) / 500
    return epochs.enumerated().filter { index, row in
      index % max(1, stride) == 0 || index == epochs.count - 1 || row.epoch == bestEpoch
    }.map(\.element)
  }
}
