import Layers
import Torch

/// A network's forward pass, frozen: weights are packed once, norms, biases, activations, gates and
/// residuals go into the matrix products, and memory is laid out before it runs.
///
/// ```swift
/// let plan = InferencePlan { model.logits($0) }
/// let logits = plan(images)  // as model.logits(images), faster
/// ```
///
/// The first sample of each shape is also computed as it was written, operator by operator. What was
/// called becomes the plan, if the plan's result agrees; where it does not, or where the computation
/// depends on its input's values (as routing to experts does), that shape is computed as written. With
/// the second input of a shape the plan takes the time to find out whether samples are faster together
/// than one by one, so results may differ in the last bits from then on. Weights must not change
/// afterwards. Not for use from two threads at once.
public final class InferencePlan {
  public let precision: InferencePrecision

  /// How samples of one shape are computed.
  private enum Way {
    case asWritten
    /// One after the other: its memory is small enough for the caches. `isOpen` until other ways have
    /// been tried.
    case oneByOne(PlannedRun, isOpen: Bool)
    /// Many at once, by a plan for so many; the rest one by one.
    case together(PlannedRun, single: PlannedRun)
  }

  private let forward: (Tensor) -> Tensor
  private let routes: RouteTable
  private let calibration: Calibration?
  private var weights: PackedWeights
  /// Those of shapes that were calibrated, with what was found for them.
  private var calibratedWeights: PackedWeights
  private var ways: [[Int]: Way] = [:]

  /// - Parameter forward: the same operators for each input of one shape, and for each sample (the
  ///   first dimension) the same result whatever the others are.
  public convenience init(
    precision: InferencePrecision = .float32, _ forward: @escaping (Tensor) -> Tensor
  ) {
    self.init(precision: precision, routes: .ofMachine, forward)
  }

  /// A plan in ``InferencePrecision/int8`` whose steps multiply as they were calibrated: for inputs of the
  /// calibration's shape, and those with the same steps.
  ///
  /// - Parameter input: any input of the calibration's shape.
  /// - Throws: `MingleError` (`badData`) for the calibration of other computations or weights.
  public convenience init(
    calibration: Calibration, for input: Tensor, _ forward: @escaping (Tensor) -> Tensor
  ) throws {
    try calibration.require(of: forward, input)
    self.init(precision: .int8, routes: .ofMachine, calibration: calibration, forward)
  }

  /// - Parameters:
  ///   - routes: where the fastest ways to compute layers are known, and noted.
  ///   - calibration: how steps multiply in int8, where it is theirs.
  package init(
    precision: InferencePrecision = .float32, routes: RouteTable, calibration: Calibration? = nil,
    _ forward: @escaping (Tensor) -> Tensor
  ) {
    self.precision = precision
    self.routes = routes
    self.calibration = calibration
    weights = PackedWeights(precision)
    calibratedWeights = PackedWeights(precision)
    self.forward = forward
  }

  /// The result in float32, for an input on any device; plans are for pictures and the like in float32,
  /// and tokens in int64.
  public func callAsFunction(_ input: Tensor) -> Tensor {
    guard input.device == .cpu, [.float32, .int64].contains(input.dtype), input.rank > 1,
      input.count > 0
    else {
      return asWritten(input)
    }
    return withoutGradients {
      let key = Self.key(input.shape)
      if ways[key] == nil, ways.count == Self.capacity {
        ways = [:]
        (weights, calibratedWeights) = (PackedWeights(precision), PackedWeights(precision))
      }
      guard let known = ways[key] else {
        let (way, first) = firstWay(for: input)
        ways[key] = way
        return run(way, input, size: key[0], first: first)
      }
      let way = better(than: known, for: input, size: key[0])
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

  /// How many fused kernels of linear layers do the work for inputs of this shape, and how many of them multiply bytes;
  /// nil before the first such input, and where there is no plan.
  package func kernels(for shape: [Int]) -> (count: Int, inBytes: Int)? { run(for: shape)?.kernels }

  /// How many sums of several tensors are computed in one pass; nil as for `kernels`.
  package func sums(for shape: [Int]) -> Int? { run(for: shape)?.sums }

  /// How many norms of maps no layer has taken into itself, and windows over maps; nil as for `kernels`.
  package func maps(for shape: [Int]) -> Int? { run(for: shape)?.maps }

  /// How many movements of numbers are one step that was several calls; nil as for `kernels`.
  package func movements(for shape: [Int]) -> Int? { run(for: shape)?.movements }

  /// How many steps are calls of operators that no kernel took; nil as for `kernels`.
  package func calls(for shape: [Int]) -> Int? { run(for: shape)?.calls }

  /// Whether the samples of inputs of this shape are computed at once; false before that is known.
  package func computesTogether(_ shape: [Int]) -> Bool {
    if case .together = ways[Self.key(shape)] { true } else { false }
  }

  private func run(for shape: [Int]) -> PlannedRun? {
    switch ways[Self.key(shape)] {
    case nil, .asWritten: nil
    case .together(let run, _), .oneByOne(let run, _): run
    }
  }

  /// - Parameter first: what one by one gave for the first sample, if that is known already.
  private func run(_ way: Way, _ input: Tensor, size: Int, first: Tensor? = nil) -> Tensor {
    let count = input.shape[0]
    var results: [Tensor] = []
    switch way {
    case .asWritten: return asWritten(input)
    case .together(let run, let single):
      let whole = count / size
      for start in (0..<whole).map({ $0 * size }) {
        let result = run(input.narrowed(0, start..<start + size))
        if run.addsSamples, result.isFinite().all().item == 0 {
          results += (start..<start + size).map { single(input.narrowed(0, $0..<$0 + 1)) }
        } else {
          results.append(result)
        }
      }
      results += (whole * size..<count).map { single(input.narrowed(0, $0..<$0 + 1)) }
    case .oneByOne(let single, _):
      results = first.map { [$0] } ?? []
      results += (results.count..<count).map { single(input.narrowed(0, $0..<$0 + 1)) }
    }
    return results.count == 1 ? results[0] : .concatenated(results)
  }

  /// How to begin, and what that gave for the first sample if it was computed to find out.
  private func firstWay(for input: Tensor) -> (way: Way, first: Tensor?) {
    guard let (run, result) = agreeing(plan(for: input.narrowed(0, 0..<1))) else {
      return (.asWritten, nil)
    }
    return (.oneByOne(run, isOpen: true), result)
  }

  /// The fastest way, once the others have been tried.
  private func better(than way: Way, for input: Tensor, size: Int) -> Way {
    guard case .oneByOne(let single, isOpen: true) = way else { return way }
    let samples = input.narrowed(0, 0..<size)
    var ways = [Way.oneByOne(single, isOpen: false)]
    if size > 1, let whole = agreeing(plan(for: samples))?.run {
      ways.append(.together(whole, single: single))
    }
    // libtorch's products of bfloat16 may be faster than what a plan multiplies.
    if precision == .bfloat16, precision.others.products(on: .cpu) == .bfloat16 {
      ways.append(.asWritten)
    }
    guard ways.count > 1 else { return ways[0] }
    let times = ways.map { way in
      (0..<2).map { _ in ContinuousClock().measure { _ = run(way, samples, size: size) } }.min()
        ?? .zero
    }
    return zip(times, ways).min { $0.0 < $1.0 }?.1 ?? ways[0]
  }

  /// The plan, if its result for the input that it was made with is the expected one, or if it was
  /// calibrated, which was with many: what is unlike those may well be outside of known ranges.
  private func agreeing(
    _ plan: (input: Tensor, expected: Tensor, run: PlannedRun?, isCalibrated: Bool)
  ) -> (run: PlannedRun, result: Tensor)? {
    guard let run = plan.run else { return nil }
    let result = run(plan.input)
    let agrees =
      plan.isCalibrated || result.agrees(with: plan.expected, within: precision.tolerance)
    return agrees ? (run, result) : nil
  }

  /// What is computed as written in float32, and a plan made of it, where it can be.
  private func plan(
    for input: Tensor
  ) -> (input: Tensor, expected: Tensor, run: PlannedRun?, isCalibrated: Bool) {
    let (expected, graph) = PlanGraph.fused(forward, input)
    guard let graph else { return (input, expected, nil, false) }
    let isCalibrated =
      calibration.map { calibratedWeights.take($0, for: graph.fusedSteps) } ?? false
    let run = PlannedRun(
      graph, weights: isCalibrated ? calibratedWeights : weights, precision, routes: routes)
    run.chooseRoutes(for: input)
    if precision == .int8, !isCalibrated { run.keepSensitiveSteps(for: input) }
    return (input, expected, run, isCalibrated)
  }

  private func asWritten(_ input: Tensor) -> Tensor {
    withoutGradients {
      let precision = precision.others.products(on: input.device)
      return withAutocast(precision.autocast, on: input.device) { forward(input) }.to(.float32)
    }
  }

  /// For how many shapes there are plans at once.
  private static let capacity = 16
}

extension Tensor {
  /// Whether no element is further from `other` than `tolerance` times its largest magnitude.
  func agrees(with other: Tensor, within tolerance: Double) -> Bool {
    guard shape == other.shape, count > 0 else { return false }
    let largest = other.abs().max().item
    return largest.isFinite && (self - other).abs().max().item <= tolerance * largest
  }
}
