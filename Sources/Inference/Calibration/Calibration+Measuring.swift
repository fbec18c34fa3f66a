import Layers
import Models
import Torch

extension Calibration {
  /// The relative error, of Euclidean norms, that a step may have from products of bytes.
  static let errorLimit = 0.03
  /// The error up to which known ranges are taken although own ones are nearer: they save a pass over the numbers.
  static let knownErrorLimit = 0.01

  /// Finds out how `model` multiplies bytes best; sets it to evaluation.
  ///
  /// - Parameters:
  ///   - inputs: batches of normalised pictures [B, channels, height, width], as those to come.
  ///   - onSample: told how often a picture was computed, of how many times; may throw to stop.
  /// - Throws: `MingleError` as ``init(of:names:onSample:_:)`` does.
  public init(
    of model: any VisionModel, on inputs: [Tensor],
    onSample: (_ done: Int, _ all: Int) throws -> Void = { _, _ in }
  ) throws {
    model.setMode(.evaluation)
    try self.init(
      of: inputs, names: model.namedParameters.map { ($0.name, $0.parameter.tensor) },
      onSample: onSample
    ) { model.logits($0) }
  }

  /// Finds out how `forward` multiplies bytes best: computes each sample in float32, twice.
  ///
  /// The numbers that a step multiplies get the range in which rounding changes them least. A step whose
  /// results then change by more than 1 % takes each row's own range if that is nearer, and one that
  /// changes by more than 3 % even so stays in bfloat16.
  ///
  /// - Parameters:
  ///   - inputs: batches of samples of one shape on the CPU, at least one sample.
  ///   - names: of the weights, for ``Step/layer``.
  /// - Throws: `MingleError` for a computation without a plan (`usage`) or with numbers that are not
  ///   finite (`badData`).
  public init(
    of inputs: [Tensor], names: [(name: String, tensor: Tensor)] = [],
    onSample: (_ done: Int, _ all: Int) throws -> Void = { _, _ in },
    _ forward: (Tensor) -> Tensor
  ) throws {
    let count = inputs.map { $0.shape[0] }.reduce(0, +)
    precondition(count > 0 && inputs.allSatisfy { $0.device == .cpu }, "no samples on the CPU")
    self = try withoutGradients {
      let first = inputs[0].narrowed(0, 0..<1)
      let (expected, graph) = PlanGraph.fused(forward, first)
      guard let graph, !graph.fusedSteps.isEmpty else { throw Self.withoutPlan }
      let run = PlannedRun(
        graph, weights: PackedWeights(.float32), .float32,
        routes: RouteTable(path: nil, always: Route.fused.rawValue))
      guard run(first).agrees(with: expected, within: InferencePrecision.float32.tolerance) else {
        throw Self.withoutPlan
      }
      let names = WeightNames(names)
      var measurements = graph.fusedSteps.map { StepMeasurement($0, names) }
      var done = 0
      func pass(_ see: (Int, FusedStep) -> Void) throws {
        for input in inputs {
          for index in 0..<input.shape[0] {
            run.watch(input.narrowed(0, index..<index + 1), see)
            done += 1
            try onSample(done, 2 * count)
          }
        }
      }
      try pass { measurements[$0].add(run, $1) }
      for index in measurements.indices { try measurements[index].chooseRanges() }
      let bytes = PackedWeights(.int8)
      try pass { measurements[$0].compare(run, $1, bytes) }
      return Calibration(samples: count, steps: measurements.map(\.result))
    }
  }

  private static let withoutPlan = MingleError(
    .usage, "the network has no plan, and so no products of bytes",
    next: "use it in fp32 or bf16")
}

/// What is found out about one step.
private struct StepMeasurement {
  private let step: FusedStep
  private let layer: String
  private var input = ActivationHistogram()
  private var hidden = ActivationHistogram()
  private var ranges = ActivationRanges()
  /// Sums of squares: of the results, and of how far they are from those in known and in own ranges.
  private var squares = 0.0
  private var knownErrors = 0.0
  private var ownErrors = 0.0

  init(_ step: FusedStep, _ names: WeightNames) {
    (self.step, layer) = (step, names.common(to: step.origin))
  }

  mutating func add(_ run: PlannedRun, _ step: FusedStep) {
    let numbers = step.multiplied(of: run.input(of: step))
    input.add(numbers.input)
    if let numbers = numbers.hidden { hidden.add(numbers) }
  }

  mutating func chooseRanges() throws {
    guard input.isFinite, hidden.isFinite else {
      throw MingleError(
        .badData, "numbers that are not finite", in: layer.isEmpty ? step.sizes : layer,
        next: "the weights are damaged, or their training diverged: use others")
    }
    ranges = ActivationRanges(input: input.bestRange, hidden: hidden.bestRange)
  }

  mutating func compare(_ run: PlannedRun, _ step: FusedStep, _ weights: PackedWeights) {
    let exact = run.tensor(step.output)
    func square(_ x: Tensor) -> Double {
      let norm = x.norm().item
      return norm * norm
    }
    let rough = Tensor.empty(exact.shape)
    run.compute(step, inBytes: weights, ranges, into: rough)
    knownErrors += square(rough - exact)
    run.compute(step, inBytes: weights, ActivationRanges(), into: rough)
    ownErrors += square(rough - exact)
    squares += square(exact)
  }

  var result: Calibration.Step {
    func relative(_ error: Double) -> Double {
      squares > 0 ? (error / squares).squareRoot() : error > 0 ? 1 : 0
    }
    let (known, own) = (relative(knownErrors), relative(ownErrors))
    let isKnown = known <= max(own, Calibration.knownErrorLimit)
    let error = isKnown ? known : own
    let isInBytes = error <= Calibration.errorLimit
    let ranges = isKnown && isInBytes ? ranges : ActivationRanges()
    return Calibration.Step(
      layer: layer, sizes: step.sizes, norm: step.norm,
      products: isInBytes ? .bytes : .bfloat16, input: ranges.input, hidden: ranges.hidden,
      error: error)
  }
}

/// The names of weights, by where they lie.
private struct WeightNames {
  private let names: [UInt: String]

  init(_ weights: [(name: String, tensor: Tensor)]) {
    let matrices = weights.filter { $0.tensor.rank > 1 }
    names = Dictionary(matrices.map { ($0.tensor.place, $0.name) }) { first, _ in first }
  }

  /// What the names of the matrices in `origin` begin with: "blocks.0.mlp_tokens".
  func common(to origin: WeightOrigin) -> String {
    let paths = origin.constants.compactMap { names[$0.place] }.map { name in
      name.split(separator: ".").filter { $0 != "weight" }
    }
    guard var common = paths.first else { return "" }
    for path in paths {
      common = Array(zip(common, path).prefix { $0 == $1 }.map(\.0))
    }
    return common.joined(separator: ".")
  }
}
