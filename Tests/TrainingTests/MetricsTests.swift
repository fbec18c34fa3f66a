import Foundation
import Testing
import Torch
import Training

@Suite @TorchActor struct MetricsTests {
  /// Seven pictures of four classes, the last of which occurs nowhere: labels 0 0 0 1 1 2 2 taken
  /// for 0 0 1 1 2 2 0.
  private func counted(k: Int, batches: [Range<Int>] = [0..<3, 3..<7]) -> ClassificationMetrics {
    let scores: [Float] = [
      9, 1, 0, 0,
      8, 3, 2, 1,
      5, 6, 0, 1,
      1, 4, 3, 2,
      3, 2, 7, 6,
      0, 1, 2, -1,
      5, 4, 3, 2,
    ]
    let logits = Tensor(scores, shape: [7, 4])
    let labels = Tensor([0, 0, 0, 1, 1, 2, 2])
    var metrics = ClassificationMetrics(classCount: 4, topK: k)
    for (index, batch) in batches.enumerated() {
      metrics.add(
        logits.narrowed(0, batch), labels.narrowed(0, batch), loss: Double(1 + index))
    }
    return metrics
  }

  @Test func countsByHand() throws {
    let metrics = counted(k: 2)
    #expect(metrics.sampleCount == 7)
    #expect(metrics.accuracy == 4.0 / 7)
    #expect(metrics.topKAccuracy == 5.0 / 7)
    #expect(metrics.meanLoss == 11.0 / 7)  // 3 of 1, 4 of 2

    let report = metrics.report(classNames: ["ant", "bee", "cat", "dog"])
    #expect(report.confusion == [[2, 1, 0, 0], [0, 1, 1, 0], [1, 0, 1, 0], [0, 0, 0, 0]])
    #expect(report.classes.map(\.name) == ["ant", "bee", "cat", "dog"])
    #expect(report.classes.map(\.precision) == [2.0 / 3, 0.5, 0.5, 0])
    #expect(report.classes.map(\.recall) == [2.0 / 3, 0.5, 0.5, 0])
    #expect(report.classes.map(\.support) == [3, 2, 2, 0])
    #expect(abs(report.macroF1 - (2.0 / 3 + 0.5 + 0.5) / 3) < 1e-15)
  }

  @Test func batchesDoNotMatter() {
    let once = counted(k: 2, batches: [0..<7]).report()
    let many = counted(k: 2, batches: (0..<7).map { $0..<$0 + 1 }).report()
    #expect(once.accuracy == many.accuracy)
    #expect(once.confusion == many.confusion)
    #expect(once.topK == many.topK)
  }

  @Test func aLargeKIsAllClasses() {
    let report = counted(k: 5).report()
    #expect(report.topK.k == 4)
    #expect(report.topK.accuracy == 1)
    #expect(!report.summary.contains("top-"))
    var single = ClassificationMetrics(classCount: 1)
    single.add(.zeros([2, 1]), Tensor([0, 0]))
    #expect(single.report().accuracy == 1)
  }

  @Test func nothingCountedIsZero() {
    let report = ClassificationMetrics(classCount: 3).report()
    #expect(report.samples == 0 && report.accuracy == 0 && report.macroF1 == 0)
    #expect(report.loss == nil)
  }

  @Test func manyClassesNeedNoMatrix() {
    var metrics = ClassificationMetrics(classCount: 20_000)
    metrics.add(.zeros([1, 20_000]), Tensor([19_999]))
    let report = metrics.report()
    #expect(report.confusion == nil)
    #expect(report.classes.count == 20_000)
  }

  @Test func aLossThatIsNoNumberIsLeftOut() throws {
    var metrics = counted(k: 2)
    metrics.add(.zeros([1, 4]), Tensor([0]), loss: .nan)
    #expect(metrics.report().loss == nil)
    #expect(throws: Never.self) { try JSONEncoder().encode(metrics.report()) }
  }

  @Test func reportsAreJSON() throws {
    let report = counted(k: 2).report()
    let data = try JSONEncoder().encode(report)
    #expect(try JSONDecoder().decode(ClassificationReport.self, from: data) == report)
    let keys = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any]).keys
    #expect(
      Set(keys) == [
        "samples", "loss", "accuracy", "top_k", "macro_f1", "classes", "confusion",
      ])
  }

  @Test func tablesAreAligned() {
    let table = counted(k: 2).report(classNames: ["ant", "bee", "a very long class", "dog"]).table
    #expect(
      table == """
        57.1 % right, top-2 71.4 %, macro F1 0.556, loss 1.5714, 7 pictures

        class              precision  recall     F1  pictures
        ant                   66.7 %  66.7 %  0.667         3
        bee                   50.0 %  50.0 %  0.500         2
        a very long class     50.0 %  50.0 %  0.500         2
        dog                    0.0 %   0.0 %  0.000         0

        taken for            0  1  2  3
        0 ant                2  1  .  .
        1 bee                .  1  1  .
        2 a very long class  1  .  1  .
        3 dog                .  .  .  .
        """)
  }
}
