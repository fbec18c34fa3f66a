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

  init(_ graph: PlanGraph, weights: PackedWeights, rounding: DType?) {
    output = graph.output
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
      case .rows(let step): work.append(.rows(weights.rows(step, rounding), step))
      case .columns(let step): work.append(.columns(weights.columns(step, rounding), step))
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
  func callAsFunction(_ input: Tensor) -> Tensor {
    tensors[0] = input.contiguous()
    for (index, item) in work.enumerated() {
      switch item {
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
      for number in dropped[index] { tensors[number] = nil }
    }
    tensors[0] = nil
    return tensor(output).cloned()
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
    case .custom(let run, _): run(call.arguments.flatMap(\.numbers).map(tensor))
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

/// Weights packed for the kernels, shared by the plans of one model.
final class PackedWeights {
  private var rows: [String: (mix: RowMix, origin: WeightOrigin)] = [:]
  private var columns: [String: (mix: ColumnMix, origin: WeightOrigin)] = [:]

  func rows(_ step: RowStep, _ rounding: DType?) -> RowMix {
    if let (mix, _) = rows[step.origin.key] { return mix }
    let layer = step.layer.rounded(to: rounding)
    let hidden = step.hidden?.rounded(to: rounding)
    let mix = RowMix(
      epsilon: step.epsilon, hidden: hidden.map { ($0.weight, $0.bias, $0.activation) },
      weight: layer.weight, bias: layer.bias, activation: layer.activation)
    rows[step.origin.key] = (mix, step.origin)
    return mix
  }

  func columns(_ step: ColumnStep, _ rounding: DType?) -> ColumnMix {
    if let (mix, _) = columns[step.origin.key] { return mix }
    let layer = step.layer.rounded(to: rounding)
    let hidden = step.hidden?.rounded(to: rounding)
    let mix = ColumnMix(
      normalization: step.normalization, affine: step.affine,
      hidden: hidden.map { ($0.weight, $0.bias, $0.activation) }, weight: layer.weight,
      bias: layer.bias, activation: layer.activation, resultScale: step.resultScale)
    columns[step.origin.key] = (mix, step.origin)
    return mix
  }
}
