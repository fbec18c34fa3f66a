import Foundation

/// A run on one page: figures, curves, the best epoch's classes, and the recipe.
package struct RunReport {
  package let model: String
  package let data: String
  package let parameterCount: Int
  package let trainingSamples: Int
  package let validationSamples: Int
  package let plannedEpochs: Int
  /// The epochs that are done, in order.
  package let epochs: [MetricsRow]
  package let bestEpoch: Int
  /// How the best epoch did on the validation data.
  package let best: ClassificationReport
  /// The run's `config.yaml`.
  package let recipe: String

  package init(
    model: String, data: String, parameterCount: Int, trainingSamples: Int,
    validationSamples: Int, plannedEpochs: Int, epochs: [MetricsRow], bestEpoch: Int,
    best: ClassificationReport, recipe: String
  ) {
    self.model = model
    self.data = data
    self.parameterCount = parameterCount
    self.trainingSamples = trainingSamples
    self.validationSamples = validationSamples
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
    return """
      <!DOCTYPE html>
      <html lang="en" xmlns="http://www.w3.org/1999/xhtml">
      <head>
      <meta charset="utf-8"/>
      <meta name="viewport" content="width=device-width, initial-scale=1"/>
      <title>\(escaped(title))</title>
      <style>\(Self.style)</style>
      </head>
      <body>
      <main>
      <h1>\(escaped(title))</h1>
      <section class="figures">
      \(figures)
      </section>
      <section class="charts">
      \(charts.map(\.figure).joined(separator: "\n"))
      </section>
      <section>
      \(classTable)
      </section>
      \(confusionMatrix.map { "<section>\n\($0)\n</section>" } ?? "")
      <section>
      <h2>Recipe</h2>
      <pre>\(escaped(recipe))</pre>
      </section>
      </main>
      </body>
      </html>

      """
  }

  private var figures: String {
    let seconds = epochs.last?.seconds ?? 0
    let done = epochs.last?.epoch ?? 0
    let items: [(String, String, String)] = [
      ("Best accuracy", percent(best.accuracy), "in epoch \(bestEpoch)"),
      ("Macro F1", decimal(best.macroF1, 3), "in that epoch"),
      ("Epochs", grouped(done), done < plannedEpochs ? "of \(grouped(plannedEpochs))" : "all done"),
      ("Training time", duration(seconds), "\(duration(seconds / Double(max(1, done)))) an epoch"),
      ("Parameters", grouped(parameterCount), "with the head"),
      ("Pictures", grouped(trainingSamples), "\(grouped(validationSamples)) to validate"),
    ]
    return items.map { name, value, note in
      "<div><span>\(name)</span><b>\(value)</b><span>\(note)</span></div>"
    }.joined(separator: "\n")
  }

  private var charts: [LineChart] {
    let rows = shownEpochs
    func points(_ value: (MetricsRow) -> Double?) -> [LineChart.Point] {
      rows.compactMap { row in value(row).map { LineChart.Point(epoch: row.epoch, value: $0) } }
    }
    let plain: (Double, Double) -> String = { value, step in
      if value == 0 { return "0" }
      if step < 1e-5 { return String(format: "%.1e", value) }
      return decimal(value, max(0, Int((-log10(step) - 1e-6).rounded(.up))))
    }
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
    return [
      LineChart(
        title: "Loss",
        series: [
          .init(name: "training", points: points { $0.trainingLoss }),
          .init(name: "validation", color: .two, points: points { $0.validationLoss }),
        ], marked: bestEpoch, label: plain),
      LineChart(
        title: "Accuracy",
        series: [.init(name: "validation", color: .two, points: points { $0.accuracy })],
        limits: 0...1, includesZero: false, marked: bestEpoch, label: share),
      LineChart(
        title: "Learning rate",
        series: [.init(name: "Learning rate", points: points { $0.learningRate })], label: plain),
      LineChart(
        title: "Pictures per second",
        series: [.init(name: "Pictures per second", points: points { $0.imagesPerSecond })],
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
