import TestSupport
import Testing
import Torch
import Training

@Suite @TorchActor struct LossTests {
  nonisolated static let cases = [
    "softmax", "softmax_smoothed", "softmax_soft", "sigmoid", "sigmoid_smoothed", "sigmoid_soft",
  ]
  private let labels = Tensor([3, 0, 2, 1, 0])

  private func value(_ name: String, _ logits: Tensor) -> Tensor {
    let loss: Loss = name.hasPrefix("softmax") ? .softmax : .sigmoid
    let targets =
      name.hasSuffix("soft") ? (2 * Fill.raw("targets", [5, 4])).softmax() : nil
    return loss(
      logits, labels, targets, labelSmoothing: name.hasSuffix("smoothed") ? 0.1 : 0)
  }

  @Test(arguments: cases) func valueAndGradientAreTheReferences(_ name: String) throws {
    let reference = try #require(Reference.load().losses[name])
    let logits = 3 * Fill.raw("logits", [5, 4])
    logits.setRequiresGradient(true)
    let value = value(name, logits)
    let gradient = try #require(gradients(of: [value], withRespectTo: [logits])[0])
    #expect(value.shape == [])
    #expect(abs(value.item - reference.value) < 1e-6)
    #expect(areClose(gradient.array(of: Double.self), reference.gradient, 1e-6))
  }

  @Test(arguments: cases) func gradientIsTheDifferenceQuotient(_ name: String) throws {
    let start = (3 * Fill.raw("logits", [5, 4])).array(of: Double.self)
    let logits = Tensor(start, shape: [5, 4])
    logits.setRequiresGradient(true)
    let gradient = try #require(
      gradients(of: [value(name, logits)], withRespectTo: [logits])[0]
    ).array(of: Double.self)
    for index in start.indices {
      func shifted(_ step: Double) -> Double {
        var values = start
        values[index] += step
        return value(name, Tensor(values, shape: [5, 4])).item
      }
      let quotient = (shifted(1e-5) - shifted(-1e-5)) / 2e-5
      #expect(abs(quotient - gradient[index]) < 1e-8, "element \(index)")
    }
  }

  @Test(arguments: Loss.allCases) func hardTargetsAreLabels(_ loss: Loss) {
    let logits = 3 * Fill.raw("logits", [5, 4])
    let hard = labels.oneHot(4).to(.float32)
    #expect(abs(loss(logits, labels).item - loss(logits, labels, hard).item) < 1e-6)
  }

  @Test(arguments: Loss.allCases) func lowPrecisionLogitsAreWidenedFirst(_ loss: Loss) {
    let logits = (3 * Fill.raw("logits", [5, 4])).to(.bfloat16)
    let low = withAutocast(.bfloat16, on: .cpu) { loss(logits, labels) }
    #expect(low.dtype == .float32)
    #expect(low.item == loss(logits.to(.float32), labels).item)
  }

  @Test func sigmoidSumsOverClasses() {
    // At logits 0 each of the four classes costs ln 2.
    #expect(abs(Loss.sigmoid(.zeros([5, 4]), labels).item - 4 * 0.6931471805599453) < 1e-6)
  }

  @Test(arguments: Loss.allCases) func farLogitsStayFinite(_ loss: Loss) {
    let logits = Tensor([1e4, -1e4, 0, -1e4, 1e4, 5] as [Float], shape: [2, 3])
    #expect(loss(logits, Tensor([1, 0])).item.isFinite)
  }
}
