import Layers
import Torch

/// A computation for inputs of one shape, ready to run: fused kernels on memory of its own, and the
/// calls that no kernel knows.
final class PlannedRun {
  /// How a step is computed.
  enum Work {
    case call(OperatorRecording.Call)
    case rows(RowMix, RowStep)
    case twoRows(first: RowMix, second: RowMix, hidden: Tensor, RowStep)
    case library(LibraryRows, RowStep)
    case columns(ColumnMix, ColumnStep)
    case twoColumns(first: ColumnMix, second: ColumnMix, hidden: Tensor, ColumnStep)
    case map(MapStep)

    var hasHiddenMemory: Bool {
      switch self {
      case .twoRows, .twoColumns: true
      default: false
      }
    }
  }

  var work: [Work] = []
  /// The tensors by number: those in the arena, and while it runs those of calls.
  private var tensors: [Int: Tensor]
  /// While it runs: of tensors in memory that kernels cannot read, copies that they can.
  var copies: [Int: Tensor] = [:]
  /// What is not needed after a step.
  private var dropped: [[Int]] = []
  /// What stays from run to run: the arena.
  private var lasting: Set<Int> = []
  private let output: Int
  let weights: PackedWeights
  let precision: InferencePrecision
  let table: RouteTable
  /// The steps whose routes were known from the start.
  var known: Set<Int> = []
  /// Memory of what lies between two layers that are computed one after the other.
  var hidden = Tensor.empty([0])

  init(
    _ graph: PlanGraph, weights: PackedWeights, _ precision: InferencePrecision, routes: RouteTable
  ) {
    (output, self.weights, self.precision, table) = (graph.output, weights, precision, routes)
    let steps = graph.runnable
    let lives = PlanLives(of: steps, output: graph.output)
    var needs: [PlanArena.Need] = []
    for (index, step) in steps.enumerated() {
      guard let value = step.fusedOutput else { continue }
      needs.append(
        PlanArena.Need(
          value: value, shape: graph.shape(of: value), first: index, last: lives.end(of: value)))
    }
    tensors = PlanArena(needs).tensors
    var ended: [Int] = []
    for (index, step) in steps.enumerated() {
      ended += lives.endings(at: index)
      switch step {
      case .call(let call):
        if isView(call) { continue }
        work.append(.call(call))
      case .rows(let step):
        let route = route(of: step)
        if route != nil { known.insert(work.count) }
        work.append(rows(step, route ?? .fused))
      case .columns(let step):
        let route = route(of: step)
        if route != nil { known.insert(work.count) }
        work.append(columns(step, route ?? .fused))
      case .map(let step): work.append(.map(step))
      }
      dropped.append(ended)
      ended = []
    }
    lasting = Set(tensors.keys)
  }

  /// Makes the result of a call now, if it is but another view of the arena.
  private func isView(_ call: OperatorRecording.Call) -> Bool {
    guard call.mayShareMemory, !call.writesInPlace,
      call.arguments.flatMap(\.numbers).allSatisfy({ tensors[$0] != nil })
    else { return false }
    let memories = call.arguments.flatMap(\.numbers).compactMap { tensors[$0]?.memory }
    let results = call.results(of: tensor)
    guard results.allSatisfy({ $0.map { memories.contains($0.memory) } == true }) else {
      return false
    }
    keep(results, of: call)
    return true
  }

  /// The result for an input of the planned shape, in memory of its own.
  func callAsFunction(_ input: Tensor) -> Tensor { run(input) { perform($0) } }

  /// How many of the steps are linear layers in fused kernels, and how many of these multiply bytes.
  var kernels: (count: Int, inBytes: Int) {
    let origins = work.compactMap { item -> WeightOrigin? in
      switch item {
      case .call, .library, .map: nil
      case .rows(_, let step), .twoRows(_, _, _, let step): step.origin
      case .columns(_, let step), .twoColumns(_, _, _, let step): step.origin
      }
    }
    return (origins.count, origins.count { weights.isInBytes($0) })
  }

  /// Whether what is no number in one sample may reach the others.
  var addsSamples: Bool {
    work.contains { item in
      switch item {
      case .rows(let mix, _): mix.addsRows
      case .columns(let mix, _): mix.addsMatrices
      default: false
      }
    }
  }

  /// How many norms of maps, and windows over them, are steps of their own.
  var maps: Int {
    work.count { if case .map(let step) = $0 { !(step.kernel is Gather) } else { false } }
  }

  /// How many movements of numbers are one step that was several calls.
  var movements: Int {
    work.count { if case .map(let step) = $0 { step.kernel is Gather } else { false } }
  }

  /// How many steps are calls of operators that no kernel took, views among them where they are made anew.
  var calls: Int {
    work.count { item in
      if case .call(let call) = item, case .library = call.operation { true } else { false }
    }
  }

  /// How many sums of several tensors are computed in one pass.
  var sums: Int { work.count { if case .call(let call) = $0 { call.isFusedSum } else { false } } }

  /// Runs, and after each fused step tells its number among these and the step; until the next one what
  /// it read is there.
  func watch(_ input: Tensor, _ see: (Int, FusedStep) -> Void) {
    var count = 0
    _ = run(input) { index in
      perform(index)
      let step: FusedStep
      switch work[index] {
      case .call, .map: return
      case .rows(_, let rows), .twoRows(_, _, _, let rows), .library(_, let rows):
        step = .rows(rows)
      case .columns(_, let columns), .twoColumns(_, _, _, let columns): step = .columns(columns)
      }
      see(count, step)
      count += 1
    }
  }

  /// Gives up products of bytes in steps whose results for `input` they change by more than a limit.
  func keepSensitiveSteps(for input: Tensor) {
    _ = run(input) { index in
      perform(index)
      guard let (exact, origin, number) = exactly(work[index]) else { return }
      let bytes = work[index]
      let rough = tensor(number).cloned()
      work[index] = exact
      perform(index)
      let error = (tensor(number) - rough).norm().item
      if error <= Calibration.errorLimit * tensor(number).norm().item {
        work[index] = bytes
      } else {
        keepExact(exact, origin)
      }
    }
  }

  /// The same step without products of bytes; nil where it has none.
  private func exactly(_ work: Work) -> (work: Work, origin: WeightOrigin, output: Int)? {
    switch work {
    case .call, .twoRows, .library, .twoColumns, .map: nil
    case .rows(_, let step):
      weights.isInBytes(step.origin)
        ? (.rows(weights.exact(step), step), step.origin, step.output) : nil
    case .columns(_, let step):
      weights.isInBytes(step.origin)
        ? (.columns(weights.exact(step), step), step.origin, step.output) : nil
    }
  }

  private func keepExact(_ work: Work, _ origin: WeightOrigin) {
    switch work {
    case .call, .twoRows, .library, .twoColumns, .map: break
    case .rows(let mix, _): weights.keep(mix, for: origin)
    case .columns(let mix, _): weights.keep(mix, for: origin)
    }
  }

  func run(_ input: Tensor, _ perform: (Int) -> Void) -> Tensor {
    tensors[0] = input.contiguous()
    for index in work.indices {
      perform(index)
      for number in dropped[index] {
        copies[number] = nil
        if !lasting.contains(number) { tensors[number] = nil }
      }
    }
    defer { (tensors[0], copies) = (nil, [:]) }
    return tensor(output).cloned()
  }

  func perform(_ index: Int) {
    switch work[index] {
    case .call(let call):
      if call.writesInPlace { copies = [:] }
      keep(call.results(of: tensor), of: call)
    case .rows(let mix, let step):
      mix(
        rows(step.x), gate: step.gate.map(rows), residual: step.residual.map(rows),
        into: tensor(step.output))
    case .twoRows(let first, let second, let hidden, let step):
      first(rows(step.x), gate: nil, residual: nil, into: hidden)
      second(
        hidden, gate: step.gate.map(rows), residual: step.residual.map(rows),
        into: tensor(step.output))
    case .library(let layers, let step):
      layers(
        tensor(step.x), gate: step.gate.map(tensor), residual: step.residual.map(tensor),
        into: tensor(step.output))
    case .twoColumns(let first, let second, let hidden, let step):
      first(columns(step.x), gate: nil, residual: nil, into: hidden)
      second(
        hidden, gate: step.gate.map(columns), residual: step.residual.map(columns),
        into: tensor(step.output))
    case .columns(let mix, let step):
      mix(
        columns(step.x), gate: step.gate.map(columns), residual: step.residual.map(columns),
        into: tensor(step.output))
    case .map(let step): step.kernel(columns(step.x), into: tensor(step.output))
    }
  }

  func tensor(_ number: Int) -> Tensor {
    guard let tensor = tensors[number] else { preconditionFailure("step without tensor \(number)") }
    return tensor
  }

  /// In memory that the kernel can read.
  func rows(_ number: Int) -> Tensor { readable(number, RowMix.accepts) }

  func columns(_ number: Int) -> Tensor { readable(number, ColumnMix.accepts) }

  private func readable(_ number: Int, _ accepts: (Tensor) -> Bool) -> Tensor {
    if let copy = copies[number] { return copy }
    let x = tensor(number).to(.float32)
    if accepts(x) { return x }
    let copy = x.contiguous()
    copies[number] = copy
    return copy
  }

  private func keep(_ results: [Tensor?], of call: OperatorRecording.Call) {
    for (number, result) in zip(call.results, results) {
      if let number { tensors[number] = result }
    }
  }
}
