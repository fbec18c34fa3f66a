/// Until which step each tensor's memory is read, by itself or by a view of it.
struct PlanLives {
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

extension PlanStep {
  /// The tensor that a fused kernel makes.
  var fusedOutput: Int? {
    switch self {
    case .call: nil
    case .rows(let step): step.output
    case .columns(let step): step.output
    case .map(let step): step.output
    }
  }
}
