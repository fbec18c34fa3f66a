import Torch

/// A network's forward pass, frozen: weights are packed once, norms, biases, activations, gates and
/// residuals go into the matrix products, and memory is laid out before it runs.
///
/// ```swift
/// let plan = InferencePlan { model.logits($0) }
/// let logits = plan(images)  // as model.logits(images), faster
/// ```
///
/// The first input of each shape is also computed as it was written, operator by operator. What was
/// called becomes the plan, if the plan's result agrees; where it does not, or where the computation
/// depends on its input's values (as routing to experts does), that shape is computed as written.
/// Weights must not change afterwards.
public final class InferencePlan {
  public let precision: Precision

  private let forward: (Tensor) -> Tensor
  private let weights = PackedWeights()
  /// By shape; nil where there is no plan.
  private var runs: [[Int]: PlannedRun?] = [:]
  /// Shapes by their last use, the latest at the end.
  private var recent: [[Int]] = []

  /// - Parameter forward: the same operators for each input of one shape.
  public init(precision: Precision = .float32, _ forward: @escaping (Tensor) -> Tensor) {
    self.precision = precision
    self.forward = forward
  }

  /// The result in float32, for an input on any device.
  public func callAsFunction(_ input: Tensor) -> Tensor {
    guard input.device == .cpu, input.dtype == .float32 else { return plain(input) }
    return withoutGradients {
      recent.removeAll { $0 == input.shape }
      recent.append(input.shape)
      if let run = runs[input.shape] { return run?(input) ?? plain(input) }
      return first(input)
    }
  }

  /// Whether inputs of this shape have a plan; nil before the first.
  package func isPlanned(_ shape: [Int]) -> Bool? { runs[shape].map { $0 != nil } }

  private func first(_ input: Tensor) -> Tensor {
    let (expected, recording) = OperatorRecording.record(input) { plain($0) }
    runs[input.shape] = .some(nil)
    while runs.count > Self.capacity { runs[recent.removeFirst()] = nil }
    guard var graph = PlanGraph(recording, inputShape: input.shape) else { return expected }
    graph.fuse()
    let run = PlannedRun(graph, weights: weights, rounding: precision.autocast)
    let result = run(input)
    guard result.agrees(with: expected, within: precision.tolerance) else { return expected }
    runs[input.shape] = run
    return result
  }

  private func plain(_ input: Tensor) -> Tensor {
    withoutGradients {
      withAutocast(precision.autocast, on: input.device) { forward(input) }.to(.float32)
    }
  }

  /// How many shapes are remembered.
  private static let capacity = 8
}

extension Precision {
  /// How far a plan's results may be from those computed as written, over the largest of them.
  fileprivate var tolerance: Double {
    switch self {
    case .float32: 1e-4
    case .bfloat16: 5e-2
    }
  }
}

extension Tensor {
  /// Whether no element is further from `other` than `tolerance` times its largest magnitude.
  fileprivate func agrees(with other: Tensor, within tolerance: Double) -> Bool {
    guard shape == other.shape, count > 0 else { return false }
    let largest = other.abs().max().item
    return largest.isFinite && (self - other).abs().max().item <= tolerance * largest
  }
}
