import Torch

/// A computation for inputs of one shape, ready to run: fused kernels on memory of its own, and the
/// calls that no kernel knows.
final class PlannedRun {
  private enum Work {
    case call(OperatorRecording.Call)
    case rows(RowMix, RowStep)
    case columns(ColumnMix, ColumnStep)
  }

  private var work: [Work] = []
  /// The tensors by number: those in the arena, and while it runs those of calls.
  private var tensors: [Int: Tensor]
  /// What is not needed after a step.
  private var dropped: [[Int]] = []
  private let output: Int
  private let weights: PackedWeights

  init(_ graph: PlanGraph, weights: PackedWeights) {
    (output, self.weights) = (graph.output, weights)
    let steps = graph.runnable
    let lives = Lives(of: steps, output: graph.output)
    var needs: [PlanArena.Need] = []
    for (index, step) in steps.enumerated() {
      guard let value = step.fusedOutput else { continue }
      needs.append(
        PlanArena.Need(
          value: value, shape: graph.shape(of: value), first: index, last: lives.end(of: value)))
    }
    tensors = PlanArena(needs).tensors
    var indices: [Int] = []
    for (index, step) in steps.enumerated() {
      switch step {
      case .call(let call):
        if isView(call) { continue }
        work.append(.call(call))
      case .rows(let step): work.append(.rows(weights.rows(step), step))
      case .columns(let step): work.append(.columns(weights.columns(step), step))
      }
      indices.append(index)
    }
    let lasting = Set(tensors.keys)
    dropped = indices.map { index in lives.endings(at: index).filter { !lasting.contains($0) } }
  }

  /// Makes the result of a call now, if it is but another view of the arena.
  private func isView(_ call: OperatorRecording.Call) -> Bool {
    guard call.mayShareMemory, !call.writesInPlace,
      call.arguments.flatMap(\.numbers).allSatisfy({ tensors[$0] != nil })
    else { return false }
    let memories = call.arguments.flatMap(\.numbers).compactMap { tensors[$0]?.memory }
    let results = run(call)
    guard results.allSatisfy({ $0.map { memories.contains($0.memory) } == true }) else {
      return false
    }
    keep(results, of: call)
    return true
  }

  /// The result for an input of the planned shape, in memory of its own.
  func callAsFunction(_ input: Tensor) -> Tensor { run(input) { perform($0) } }

  /// How many of the steps are fused kernels, and how many of these multiply bytes.
  var kernels: (count: Int, inBytes: Int) {
    let origins = work.compactMap { item -> WeightOrigin? in
      switch item {
      case .call: nil
      case .rows(_, let step): step.origin
      case .columns(_, let step): step.origin
      }
    }
    return (origins.count, origins.count { weights.isInBytes($0) })
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
      if error <= Self.byteErrorLimit * tensor(number).norm().item {
        work[index] = bytes
      } else {
        keepExact(exact, origin)
      }
    }
  }

  /// The relative error, of Euclidean norms, that a step may have from products of bytes.
  private static let byteErrorLimit = 0.03

  /// The same step without products of bytes; nil where it has none.
  private func exactly(_ work: Work) -> (work: Work, origin: WeightOrigin, output: Int)? {
    switch work {
    case .call: nil
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
    case .call: break
    case .rows(let mix, _): weights.keep(mix, for: origin)
    case .columns(let mix, _): weights.keep(mix, for: origin)
    }
  }

  private func run(_ input: Tensor, _ perform: (Int) -> Void) -> Tensor {
    tensors[0] = input.contiguous()
    for index in work.indices {
      perform(index)
      for number in dropped[index] { tensors[number] = nil }
    }
    defer { tensors[0] = nil }
    return tensor(output).cloned()
  }

  private func perform(_ index: Int) {
    switch work[index] {
    case .call(let call): keep(run(call), of: call)
    case .rows(let mix, let step):
      mix(
        rows(step.x), gate: step.gate.map(rows), residual: step.residual.map(rows),
        into: tensor(step.output))
    case .columns(let mix, let step):
      mix(
        columns(step.x), gate: step.gate.map(columns), residual: step.residual.map(columns),
        into: tensor(step.output))
    }
  }

  private func tensor(_ number: Int) -> Tensor {
    guard let tensor = tensors[number] else { preconditionFailure("step without tensor \(number)") }
    return tensor
  }

  /// In memory that the kernel can read.
  private func rows(_ number: Int) -> Tensor {
    let x = tensor(number).to(.float32)
    return RowMix.accepts(x) ? x : x.contiguous()
  }

  private func columns(_ number: Int) -> Tensor {
    let x = tensor(number).to(.float32)
    return ColumnMix.accepts(x) ? x : x.contiguous()
  }

  private func keep(_ results: [Tensor?], of call: OperatorRecording.Call) {
    for (number, result) in zip(call.results, results) {
      if let number { tensors[number] = result }
    }
  }

  private func run(_ call: OperatorRecording.Call) -> [Tensor?] {
    switch call.operation {
    case .library(let op): op.call(call.arguments.map(argument))
    case .custom(let run, _): run(call.arguments.compactMap { argument($0) as? Tensor })
    }
  }

  private func argument(_ argument: OperatorRecording.Argument) -> (any OperatorArgument)? {
    switch argument {
    case .none: nil
    case .value(let number): tensor(number)
    case .values(let items):
      items.map { item in
        switch item {
        case .value(let number): tensor(number)
        case .constant(let constant): constant
        }
      }
    case .constant(let constant): constant
    case .literal(let literal): literal
    }
  }
}

extension PlanStep {
  /// The tensor that a fused kernel makes.
  fileprivate var fusedOutput: Int? {
    switch self {
    case .call: nil
    case .rows(let step): step.output
    case .columns(let step): step.output
    }
  }
}

/// Until which step each tensor's memory is read, by itself or by a view of it.
private struct Lives {
  private var ends: [Int: Int] = [:]
  private var endingsOfSteps: [Int: [Int]] = [:]

  init(of steps: [PlanStep], output: Int) {
    ends[output] = steps.count
    for index in steps.indices.reversed() {
      let step = steps[index]
      var end = index
      // Whoever reads the result of a call may read its arguments' memory.
      if case .call(let call) = step, call.mayShareMemory {
        end = max(end, step.outputs.map { ends[$0] ?? index }.max() ?? index)
      }
      for value in step.inputs { ends[value] = max(ends[value] ?? 0, end) }
      for value in step.outputs { ends[value] = max(ends[value] ?? 0, index) }
    }
    for (value, end) in ends { endingsOfSteps[end, default: []].append(value) }
  }

  func end(of value: Int) -> Int { ends[value] ?? 0 }
  func endings(at index: Int) -> [Int] { endingsOfSteps[index] ?? [] }
}
