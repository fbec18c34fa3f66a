import CTorch

/// A step of AdamW for many parameters in one pass over memory, together with all else that is written
/// when weights change: their averages, and their copies in low precision.
///
/// Elements of one place in each list belong together and have equal shapes. On the CPU, contiguous
/// float32 goes through a kernel of its own, whose result does not depend on the number of threads;
/// everything else goes through libtorch's operators.
package struct AdamWStep {
  package var learningRate: Double
  package var beta1: Double
  package var beta2: Double
  package var epsilon: Double
  package var weightDecay: Double
  /// Counted from 1.
  package var number: Int
  /// What gradients are multiplied by; operators do it in place, the kernel does not write to them.
  package var gradientScale = 1.0
  /// The share of the new weights in the averages.
  package var averageShare = 0.0

  package init(
    learningRate: Double, beta1: Double, beta2: Double, epsilon: Double, weightDecay: Double,
    number: Int
  ) {
    self.learningRate = learningRate
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.weightDecay = weightDecay
    self.number = number
  }

  /// - Parameters:
  ///   - averages: moved towards the new weights; nil where there is none.
  ///   - copies: the new weights, rounded; nil where there is none.
  package func callAsFunction(
    _ parameters: [Tensor], _ gradients: [Tensor], moments: (first: [Tensor], second: [Tensor]),
    averages: [Tensor?], copies: [Tensor?]
  ) {
    let lists = [gradients, moments.first, moments.second].map(\.count)
    precondition(
      Set(lists + [parameters.count, averages.count, copies.count]).count == 1,
      "lists of \(lists) for \(parameters.count) parameters")
    var settings = CTAdamW(
      learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon,
      weightDecay: weightDecay, gradientScale: gradientScale, averageShare: averageShare,
      step: Int64(number))
    let status = withExtendedLifetime((parameters, gradients, moments, averages, copies)) {
      ct_adamw(
        parameters.map(\.pointer), gradients.map(\.pointer), moments.first.map(\.pointer),
        moments.second.map(\.pointer), averages.map { $0?.pointer }, copies.map { $0?.pointer },
        Int32(parameters.count), &settings)
    }
    Engine.check(status, "a step of AdamW")
  }
}

extension Tensor {
  /// The Euclidean norm over all elements of all `tensors`; for float32 on the CPU it does not depend on
  /// the number of threads.
  package static func norm(ofAll tensors: [Tensor]) -> Double {
    var norm = 0.0
    let status = withExtendedLifetime(tensors) {
      ct_norm(tensors.map(\.pointer), Int32(tensors.count), &norm)
    }
    Engine.check(status, "norm of \(tensors.count) tensors")
    return norm
  }
}
