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
/// Weights must not change afterwards. Not for use from two threads at once.
public final class InferencePlan {
  public let precision: InferencePrecision

  /// How samples of one shape are computed, so many at once.
  private enum Way {
    case asWritten
    /// All at once, by a plan for so many; single ones by a plan for one.
    case together(PlannedRun, single: PlannedRun)
    /// One after the other: its memory is small enough for the caches.
    case oneByOne(PlannedRun)
  }

  private let forward: (Tensor) -> Tensor
  private var weights: PackedWeights
  private var ways: [[Int]: Way] = [:]

  /// - Parameter forward: the same operators for each input of one shape, and for each sample (the
  ///   first dimension) the same result whatever the others are.
  public init(precision: InferencePrecision = .float32, _ forward: @escaping (Tensor) -> Tensor) {
    self.precision = precision
    weights = PackedWeights(precision)
    self.forward = forward
  }

  /// The result in float32, for an input on any device.
  public func callAsFunction(_ input: Tensor) -> Tensor {
    guard input.device == .cpu, input.dtype == .float32, input.rank > 1, input.count > 0 else {
      return asWritten(input)
    }
    return withoutGradients {
      let key = Self.key(input.shape)
      if let way = ways[key] { return run(way, input, size: key[0]) }
      if ways.count == Self.capacity { (ways, weights) = ([:], PackedWeights(precision)) }
      let way = findWay(for: input.narrowed(0, 0..<key[0]))
      ways[key] = way
      return run(way, input, size: key[0])
    }
  }

  /// Samples are computed together in powers of two, up to so many that every thread has some.
  private static func key(_ shape: [Int]) -> [Int] {
    var size = 1
    while 2 * size <= min(shape[0], 4 * Engine.threadCount) { size *= 2 }
    return [size] + shape[1...]
  }

  /// How many fused kernels do the work for inputs of this shape, and how many of them multiply bytes;
  /// nil before the first such input, and where there is no plan.
  package func kernels(for shape: [Int]) -> (count: Int, inBytes: Int)? {
    switch ways[Self.key(shape)] {
    case nil, .asWritten: nil
    case .together(let run, _), .oneByOne(let run): run.kernels
    }
  }

  private func run(_ way: Way, _ input: Tensor, size: Int) -> Tensor {
    let count = input.shape[0]
    var results: [Tensor] = []
    switch way {
    case .asWritten: return asWritten(input)
    case .together(let run, let single):
      let whole = count / size
      results = (0..<whole).map { run(input.narrowed(0, $0 * size..<($0 + 1) * size)) }
      results += (whole * size..<count).map { single(input.narrowed(0, $0..<$0 + 1)) }
    case .oneByOne(let single):
      results = (0..<count).map { single(input.narrowed(0, $0..<$0 + 1)) }
    }
    return results.count == 1 ? results[0] : .concatenated(results)
  }

  /// The fastest of those whose results agree with what is computed as written in float32.
  private func findWay(for input: Tensor) -> Way {
    let size = input.shape[0]
    let (expected, whole) = plan(for: input)
    let single = size == 1 ? whole : plan(for: input.narrowed(0, 0..<1)).run
    guard let whole, let single else { return .asWritten }
    let planned = [Way.oneByOne(single)] + (size > 1 ? [.together(whole, single: single)] : [])
    var good = planned.filter {
      run($0, input, size: size).agrees(with: expected, within: precision.tolerance)
    }
    // Plans multiply in float32, or bytes.
    if precision == .bfloat16, Self.bfloat16IsFaster { good.append(.asWritten) }
    guard good.count > 1 else { return good.first ?? .asWritten }
    let times = good.map { way in
      (0..<2).map { _ in ContinuousClock().measure { _ = run(way, input, size: size) } }.min()
        ?? .zero
    }
    return zip(times, good).min { $0.0 < $1.0 }?.1 ?? .asWritten
  }

  /// What is computed as written in float32, and a plan made of it, where it can be.
  private func plan(for input: Tensor) -> (expected: Tensor, run: PlannedRun?) {
    let (expected, recording) = OperatorRecording.record(input) { forward($0) }
    guard var graph = PlanGraph(recording, inputShape: input.shape) else { return (expected, nil) }
    graph.fuse()
    let run = PlannedRun(graph, weights: weights)
    if precision == .int8 { run.keepSensitiveSteps(for: input) }
    return (expected, run)
  }

  /// Whether this machine multiplies bfloat16 faster than float32, by a product of some milliseconds.
  private static let bfloat16IsFaster: Bool = {
    func time(_ dtype: DType) -> Duration {
      let factor = Tensor.zeros([512, 512], dtype: dtype)
      return (0..<4).map { _ in ContinuousClock().measure { _ = factor.matmul(factor) } }.min()
        ?? .zero
    }
    return time(.bfloat16) < time(.float32)
  }()

  private func asWritten(_ input: Tensor) -> Tensor {
    withoutGradients {
      withAutocast(precision.others.autocast, on: input.device) { forward(input) }.to(.float32)
    }
  }

  /// For how many shapes there are plans at once.
  private static let capacity = 16
}

extension Tensor {
  /// Whether no element is further from `other` than `tolerance` times its largest magnitude.
  fileprivate func agrees(with other: Tensor, within tolerance: Double) -> Bool {
    guard shape == other.shape, count > 0 else { return false }
    let largest = other.abs().max().item
    return largest.isFinite && (self - other).abs().max().item <= tolerance * largest
  }
}
