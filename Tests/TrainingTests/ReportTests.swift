import Foundation
import TestSupport
import Testing
import Torch
import Training

/// The page about a run.
@Suite(.serialized, .ownRoutes) @TorchActor struct ReportTests {
  private static let header =
    "epoch,step,learning_rate,training_loss,validation_loss,accuracy,top_k_accuracy,macro_f1,"
    + "images_per_second,seconds"

  private func row(_ epoch: Int, loss: String = "0.5", accuracy: Double = 0.75) -> String {
    "\(epoch),\(epoch * 10),0.001,\(1 / Double(epoch)),\(loss),\(accuracy),1.0,0.7,123.4,"
      + "\(40 * epoch)"
  }

  /// Four pictures of the first class, two of which are taken for the second.
  private func evaluation(_ names: [String]) -> ClassificationReport {
    var metrics = ClassificationMetrics(classCount: names.count)
    let answers = [0, 0, 1, 1]
    let logits = answers.flatMap { answer in names.indices.map { Float($0 == answer ? 9 : 0) } }
    metrics.add(
      Tensor(logits, shape: [4, names.count]), Tensor([0, 0, 0, 0]), loss: 0.5)
    return metrics.report(classNames: names)
  }

  private func page(
    _ rows: [String], classes: [String] = ["rose", "tulip"], data: String = "/pictures/flowers",
    recipe: String = "model: mixer_s16_224\n"
  ) -> String {
    let epochs = MetricsRow.rows(of: ([Self.header] + rows).joined(separator: "\n") + "\n")
    return RunReport(
      model: "mixer_s16_224", data: data, parameterCount: 1_234_567, trainingSamples: 1437,
      validationSamples: 360, words: .pictures, plannedEpochs: 30, epochs: epochs, bestEpoch: 1,
      best: .classes(evaluation(classes)), recipe: recipe
    ).html
  }

  @Test func showsHowExpertsAreUsed() throws {
    let names = "balance_loss,importance_loss,load_loss,least_used_expert,most_used_expert"
    let rows = (1...3).map { row($0) + ",0.02,1.5,2.5,0.05,0.4" }
    let epochs = MetricsRow.rows(
      of: ([Self.header + "," + names] + rows).joined(separator: "\n") + "\n")
    let page = RunReport(
      model: "sparse_mlp_s_224", data: "/pictures/flowers", parameterCount: 1,
      trainingSamples: 1, validationSamples: 1, words: .pictures, plannedEpochs: 3, epochs: epochs,
      bestEpoch: 1, best: .classes(evaluation(["rose", "tulip"])), recipe: ""
    ).html
    let reader = try #require(PageReader(page))
    #expect(reader.elements.count { $0 == "svg" } == 6)
    #expect(reader.text.contains("Use of experts"))
    #expect(reader.text.contains("Balance loss of experts"))
  }

  @Test func showsTheRun() throws {
    let reader = try #require(PageReader(page((1...12).map { row($0) })))
    for part in [
      "mixer_s16_224 on flowers", "50.0 %", "in epoch 1", "12", "of 30", "8 min 0 s", "1,234,567",
      "1,437", "360 to validate", "rose", "tulip", "model: mixer_s16_224",
    ] {
      #expect(reader.text.contains(part), "the page lacks '\(part)'")
    }
    #expect(reader.elements.count { $0 == "svg" } == 4)
    #expect(reader.elements.count { $0 == "polyline" } == 5)
    #expect(reader.elements.count { $0 == "circle" } == 5 * 12)
    #expect(
      reader.attributes["title"] == ["rose taken for rose: 2 of 4", "rose taken for tulip: 2 of 4"])
  }

  @Test func needsNothingElse() throws {
    let page = page((1...3).map { row($0) })
    let reader = try #require(PageReader(page))
    #expect(!reader.elements.contains { ["script", "link", "img", "iframe"].contains($0) })
    #expect(reader.attributes["src"] == nil && reader.attributes["href"] == nil)
    #expect(!page.contains("url(") && !page.contains("@import"))
  }

  @Test func whatUsersNameIsText() throws {
    let name = "<b onclick='x()'>&\"\u{1}</b>"
    let reader = try #require(
      PageReader(page([row(1)], classes: [name, "b"], data: "/d/\(name.prefix(3))", recipe: name)))
    #expect(!reader.elements.contains("td onclick") && reader.attributes["onclick"] == nil)
    #expect(reader.elements.count { $0 == "b" } == 6 + 4)  // our own: figures and captions
    #expect(reader.text.contains("<b onclick='x()'>&\"\u{FFFD}"))
  }

  @Test(arguments: [1, 2, 61, 1203]) func anyNumberOfEpochs(_ count: Int) throws {
    let reader = try #require(PageReader(page((1...count).map { row($0) })))
    let curves = try #require(reader.attributes["points"])
    let numbers = curves.flatMap { $0.split { " ,".contains($0) } }.map { Double($0) }
    #expect(curves.count == 5)
    #expect(numbers.allSatisfy { $0.map { (0...460).contains($0) } ?? false })
    #expect(curves.allSatisfy { $0.split(separator: " ").count <= 502 })
    #expect(reader.elements.count { $0 == "circle" } == (count <= 60 ? 5 * count : 0))
  }

  @Test func missingValuesLeaveNoTrace() throws {
    let page = page([row(1, loss: ""), row(2, loss: "nan"), row(3, loss: "0.25"), "4,40,0.0"])
    let reader = try #require(PageReader(page))
    #expect(reader.attributes["points"]?[0].split(separator: " ").count == 3)
    #expect(reader.attributes["points"]?[1].split(separator: " ").count == 1)
    #expect(!page.lowercased().contains("nan") && !page.contains("inf\""))
  }

  @Test func curvesAreTrueToScale() throws {
    let rows = [row(1, accuracy: 0.2), row(2, accuracy: 0.4), row(3, accuracy: 1)]
    let reader = try #require(PageReader(page(rows)))
    let curve = try #require(reader.attributes["points"]?[2])
    let points = curve.split(separator: " ").map {
      $0.split(separator: ",").compactMap { Double($0) }
    }
    #expect(abs((points[1][0] - points[0][0]) - (points[2][0] - points[1][0])) < 0.2)
    let heights = points.map { $0[1] }
    #expect(abs((heights[0] - heights[1]) * 3 - (heights[1] - heights[2])) < 0.5)
  }

  @Test func manyClassesAreCutToTheHardest() throws {
    let names = (0..<100).map { "class \($0)" }
    let reader = try #require(PageReader(page([row(1)], classes: names)))
    #expect(reader.text.contains("The 40 hardest of 100 classes"))
    #expect(reader.elements.count { $0 == "tr" } == 1 + 40)  // and no matrix
  }

  @Test func aRunHasItsPage() throws {
    let folder = try TemporaryFolder()
    let path = folder("run")
    let digits = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../Sources/MingleTool/Resources/digits.csv.gz").standardizedFileURL.path
    var recipe = Recipe(model: "mixer_s16_224", data: digits)
    recipe.settings = [
      "image_size": "8", "patch_size": "4", "input_channels": "1", "depth": "1", "dim": "8",
    ]
    recipe.epochs = 2
    let result = try Trainer(recipe, in: path).run()

    func text(_ name: String) throws -> String {
      try String(contentsOfFile: "\(path)/\(name)", encoding: .utf8)
    }
    let written = try text("report.html")
    let reader = try #require(PageReader(written))
    let best = try #require(result.best)
    #expect(reader.text.contains("in epoch \(best.epoch)"))
    let recipeText = try text("config.yaml")
    #expect(reader.text.contains(recipeText))
    #expect(reader.attributes["points"]?.map { $0.split(separator: " ").count } == [2, 2, 2, 2, 2])

    // As after a crash between the last save and its report.
    try FileManager.default.removeItem(atPath: "\(path)/report.html")
    try Trainer(resuming: path).run()
    #expect(try text("report.html") == written)
  }
}
