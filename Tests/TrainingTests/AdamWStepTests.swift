import Foundation
import Layers
import TestSupport
import Testing
import Torch
import Training

/// The kernel that changes weights, averages and copies in one pass, against separate operators.
@Suite @TorchActor struct AdamWStepTests {
  private static let fused = Operator("_fused_adamw_")
  private static let interpolate = Operator("lerp_", "Scalar")

  /// Sizes around the widths of vectors, of which the last is shared by threads.
  private nonisolated static let sizes = [1, 7, 16, 33, 1000, 70_001]

  private struct Lists {
    var parameters: [Tensor]
    var gradients: [Tensor]
    var first: [Tensor]
    var second: [Tensor]
    var averages: [Tensor]

    init() {
      let generator = Generator(seed: 5)
      func normal() -> [Tensor] { sizes.map { .normal([$0], generator: generator) } }
      (parameters, gradients) = (normal(), normal())
      (first, second) = (normal(), normal().map { $0 * $0 })
      averages = normal()
    }
  }

  private var step: AdamWStep {
    var step = AdamWStep(
      learningRate: 0.02, beta1: 0.8, beta2: 0.95, epsilon: 1e-6, weightDecay: 0.3, number: 3)
    (step.gradientScale, step.averageShare) = (0.25, 0.1)
    return step
  }

  private func bits(_ tensors: [Tensor]) -> [[UInt32]] {
    tensors.map { $0.array(of: Float.self).map(\.bitPattern) }
  }

  private func largestDifference(_ a: [Tensor], _ b: [Tensor]) -> Double {
    zip(a, b).map { ($0 - $1).abs().max().item }.max() ?? .infinity
  }

  @Test func itIsWhatSeparateOperatorsDo() {
    let (ours, theirs) = (Lists(), Lists())
    let copies = ours.parameters.map { Tensor.empty($0.shape, dtype: .bfloat16) }
    step(
      ours.parameters, ours.gradients, moments: (ours.first, ours.second), averages: ours.averages,
      copies: copies)
    let number = Tensor.full([], 3)
    Self.fused.run(
      theirs.parameters, theirs.gradients.map { $0 * 0.25 }, theirs.first, theirs.second,
      [Tensor](), theirs.parameters.map { _ in number }, 0.02, 0.8, 0.95, 0.3, 1e-6, false, false)
    for (average, parameter) in zip(theirs.averages, theirs.parameters) {
      Self.interpolate(average, parameter, 0.1)
    }
    #expect(largestDifference(ours.parameters, theirs.parameters) < 2e-5)
    #expect(largestDifference(ours.first, theirs.first) < 1e-6)
    #expect(largestDifference(ours.second, theirs.second) < 2e-6)
    #expect(largestDifference(ours.averages, theirs.averages) < 2e-5)
    #expect(bits(ours.gradients) == bits(theirs.gradients))
    #expect(bits(copies) == bits(ours.parameters.map { $0.to(.bfloat16) }))
  }

  @Test func threadsAndNeighboursDoNotMatter() {
    let results = onThreads {
      let lists = Lists()
      step(
        lists.parameters, lists.gradients, moments: (lists.first, lists.second),
        averages: lists.averages.map { $0 }, copies: lists.parameters.map { _ in nil })
      return bits(lists.parameters + lists.averages)
        + [[UInt32(truncatingIfNeeded: Tensor.norm(ofAll: lists.gradients).bitPattern)]]
    }
    #expect(results[0] == results[1] && results[0] == results[2])
    // One tensor at a time, with neither averages nor copies.
    let lists = Lists()
    for index in lists.parameters.indices {
      step(
        [lists.parameters[index]], [lists.gradients[index]],
        moments: ([lists.first[index]], [lists.second[index]]), averages: [nil], copies: [nil])
    }
    #expect(bits(lists.parameters) == Array(results[0].prefix(Self.sizes.count)))
  }

  @Test func otherTypesGoThroughOperators() {
    let (ours, theirs) = (Lists(), Lists())
    func double(_ tensors: [Tensor]) -> [Tensor] { tensors.map { $0.to(.float64) } }
    let parameters = double(theirs.parameters)
    let averages = double(theirs.averages)
    let copies = parameters.map { Tensor.empty($0.shape, dtype: .bfloat16) }
    let moments = (double(theirs.first), double(theirs.second))
    step(
      ours.parameters, ours.gradients, moments: (ours.first, ours.second), averages: ours.averages,
      copies: ours.parameters.map { _ in nil })
    step(
      parameters, double(theirs.gradients), moments: moments, averages: averages, copies: copies)
    #expect(largestDifference(ours.parameters, parameters) < 2e-5)
    #expect(largestDifference(ours.averages, averages) < 2e-5)
    #expect(bits(copies) == bits(parameters.map { $0.to(.bfloat16) }))
  }

  @Test func whatIsNotANumberStaysNone() {
    let weight = Tensor([Float.nan, .infinity, -0.0, 1])
    let copy = Tensor.empty([4], dtype: .bfloat16)
    var step = step
    (step.learningRate, step.weightDecay) = (0, 0)
    step(
      [weight], [.zeros([4])], moments: ([.zeros([4])], [.zeros([4])]), averages: [nil],
      copies: [copy])
    let values = copy.array(of: Float.self)
    #expect(values[0].isNaN && values[1] == .infinity && values[2] == 0 && values[3] == 1)
  }

  @Test func theNormIsThatOfAllElements() {
    let lists = Lists()
    let squares = lists.gradients.flatMap { $0.array(of: Double.self) }.reduce(0) { $0 + $1 * $1 }
    #expect(abs(Tensor.norm(ofAll: lists.gradients) - squares.squareRoot()) < 1e-4)
    #expect(Tensor.norm(ofAll: []) == 0)
    #expect(abs(Tensor.norm(ofAll: [.full([3], 2, dtype: .float64)]) - 12.0.squareRoot()) < 1e-12)
    #expect(Tensor.norm(ofAll: [.ones([40]), Tensor([1, Float.nan])]).isNaN)
  }

  @Test(arguments: OptimizerConfiguration.Name.allCases)
  func oneCallIsScalingSteppingAndAveraging(_ name: OptimizerConfiguration.Name) throws {
    let (together, apart) = (try SmallNetwork(), try SmallNetwork())
    var averages: [AveragedWeights] = []
    for (model, isTogether) in [(together, true), (apart, false)] {
      let optimizer = try OptimizerConfiguration(name).make(for: model)
      let average = try AveragedWeights(of: model, decay: 0.9)
      averages.append(average)
      for index in 0..<4 {
        // Its average goes on without the optimizer.
        if index == 2 { try model.freeze(["fc1.bias"]) }
        model.seen.tensor.fillInPlace(Double(index))
        let gradients = model.gradients(index).gradients
        if isTogether {
          optimizer.step(gradients, scale: 0.5, learningRate: 0.1, updating: average)
        } else {
          gradients.multiplyInPlace(0.5)
          optimizer.step(gradients, learningRate: 0.1)
          average.update()
        }
      }
    }
    #expect(together.bits == apart.bits)
    for (a, b) in zip(averages[0].state, averages[1].state) {
      let (x, y) = (a.tensor.array(of: Double.self), b.tensor.array(of: Double.self))
      #expect(areClose(x, y, 1e-6), "\(a.name)")
    }
  }
}
