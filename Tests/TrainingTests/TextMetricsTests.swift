import Foundation
import Testing
import Torch
import Training

/// Expected numbers: scikit-learn 1.9.1 and SciPy 1.17.1.
@Suite @TorchActor struct TextMetricsTests {
  @Test func scoresAreScikitLearns() {
    do {
      let scores = AnswerScores(
        answers: [0, 0, 0, 1, 1, 1, 1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0],
        labels: [1, 1, 0, 1, 0, 1, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0],
        classCount: 2)
      #expect(abs(scores.accuracy - 0.764705882353) < 1e-11)
      #expect(abs(scores.macroF1 - 0.757142857143) < 1e-11)
      #expect(abs(scores.matthews - 0.514285714286) < 1e-11)
      #expect(abs((scores.f1 ?? 0) - 0.714285714286) < 1e-11)
    }
    do {
      let scores = AnswerScores(
        answers: [2, 0, 1, 0, 2, 2, 1, 0, 2, 0, 0, 1, 2, 1, 0, 2, 0, 0, 2, 1, 0, 2, 1, 1, 1],
        labels: [2, 0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 2, 1, 1, 0, 2, 2, 0, 0, 0, 0, 2, 1, 1, 0],
        classCount: 3)
      #expect(abs(scores.accuracy - 0.640000000000) < 1e-11)
      #expect(abs(scores.macroF1 - 0.627488453575) < 1e-11)
      #expect(abs(scores.matthews - 0.475381601689) < 1e-11)
      #expect(scores.f1 == nil)
    }
    do {
      let scores = AnswerScores(
        answers: [2, 1, 0, 1, 2, 1, 0, 1, 0, 0, 1, 1, 1, 2, 0, 1, 2, 1, 2, 1],
        labels: [2, 1, 2, 2, 2, 1, 1, 1, 0, 0, 2, 1, 1, 2, 2, 2, 2, 2, 2, 1],
        classCount: 4)
      #expect(abs(scores.accuracy - 0.650000000000) < 1e-11)
      #expect(abs(scores.macroF1 - 0.634103641457) < 1e-11)
      #expect(abs(scores.matthews - 0.525878952390) < 1e-11)
      #expect(scores.f1 == nil)
    }
    let values = ValueScores(
      answers: [4.0, 2.0, 2.0, 5.0, 4.0, 2.0, 0.0, -1.0, 4.0, 3.0, -1.0, 3.0, 3.0, 2.0],
      labels: [3.0, 3.7, 2.5, 3.5, 3.5, 0.0, 0.2, 0.7, 1.1, 1.0, 0.2, 1.1, 3.0, 4.4])
    #expect(abs((values.pearson ?? 0) - 0.536109392127) < 1e-11)
    #expect(abs((values.spearman ?? 0) - 0.485977048317) < 1e-11)
    #expect(abs((values.meanSquaredError ?? 0) - 2.627857142857) < 1e-11)
  }

  @Test func sameLabelsOrAnswersCorrelateWithNothing() {
    #expect(AnswerScores(answers: [1, 1, 1], labels: [0, 1, 1], classCount: 2).matthews == 0)
    #expect(AnswerScores(answers: [0, 1], labels: [1, 1], classCount: 2).matthews == 0)
    #expect(AnswerScores(answers: [0, 1], labels: [1, 0], classCount: 2).matthews == -1)
    let nothing = AnswerScores(answers: [], labels: [], classCount: 3)
    #expect(nothing.accuracy == 0 && nothing.macroF1 == 0 && nothing.matthews == 0)
    #expect(nothing.f1 == nil)
    #expect(ValueScores(answers: [1], labels: [2]).pearson == nil)
    #expect(ValueScores(answers: [0.1, 0.1, 0.1], labels: [1, 2, 3]).spearman == nil)
    #expect(ValueScores(answers: [1, .nan], labels: [1, 2]).pearson == nil)
    #expect(ValueScores(answers: [], labels: []).meanSquaredError == nil)
  }

  @Test func perplexityIsThatOfAllTokens() throws {
    var metrics = MaskedTokenMetrics()
    #expect(metrics.perplexity == nil && metrics.accuracy == 0)
    let logits = Tensor([3, 1, 0, 0, 2, 5, 1, 0, 0] as [Float], shape: [3, 3])
    metrics.add(logits, Tensor([0, 2, 1]), loss: 1)
    metrics.add(.zeros([0, 3]), Tensor([] as [Int]), loss: .nan)
    var other = MaskedTokenMetrics()
    other.add(logits.narrowed(0, 0..<1), Tensor([0]), loss: 3)
    metrics.add(other)
    #expect(metrics.tokenCount == 4 && metrics.accuracy == 0.75)
    #expect(metrics.meanLoss == 1.5)
    #expect(metrics.perplexity == exp(1.5))
    metrics.add(logits, Tensor([0, 2, 1]), loss: .infinity)
    #expect(metrics.perplexity == nil)
  }
}
