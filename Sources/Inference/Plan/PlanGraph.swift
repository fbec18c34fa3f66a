import Torch

/// The steps of a recorded computation, in an order in which they can run.
struct PlanGraph {
  /// nil where a step went into another.
  private(set) var steps: [PlanStep?]
  private(set) var shapes: [Int: [Int]]
  let output: Int
  /// By value: the step that makes it, and those that read it, in order.
  private var producers: [Int: Int] = [:]
  private var readers: [Int: [Int]] = [:]

  /// - Returns: nil if the calls alone do not tell the computation, or change what others read.
  init?(_ recording: OperatorRecording.Result, inputShape: [Int]) {
    guard recording.obstacle == nil else { return nil }
    steps = recording.calls.map { .call($0) }
    output = recording.output
    shapes = [0: inputShape]
    for call in recording.calls {
      for (number, kind) in zip(call.results, call.kinds) {
        if let number, let kind { shapes[number] = kind.shape }
      }
    }
    for index in steps.indices { note(index) }
    for (index, call) in recording.calls.enumerated() where call.writesInPlace {
      guard let target = call.arguments.first?.numbers.first,
        readers(of: target) == [index], producer(of: target).map({ !mayShareMemory($0) }) == true
      else { return nil }
    }
  }

  /// What `forward` makes of `input`, and its steps, as few as can be; nil where it can have no plan.
  static func fused(
    _ forward: (Tensor) -> Tensor, _ input: Tensor
  ) -> (result: Tensor, graph: PlanGraph?) {
    let (result, recording) = OperatorRecording.record(input) { forward($0) }
    var graph = PlanGraph(recording, inputShape: input.shape)
    graph?.fuse()
    return (result, graph)
  }

  var runnable: [PlanStep] { steps.compactMap(\.self) }

  func shape(of value: Int) -> [Int] { shapes[value] ?? [] }

  /// The steps that read `value`, in order.
  func readers(of value: Int) -> [Int] { readers[value] ?? [] }

  /// The only step that reads `value`, if nothing else needs it.
  func onlyReader(of value: Int) -> Int? {
    let readers = readers(of: value)
    return readers.count == 1 && value != output ? readers[0] : nil
  }

  func producer(of value: Int) -> Int? { producers[value] }

  /// The call at `index` of an operator of libtorch.
  func call(at index: Int) -> PlanCall? {
    guard case .call(let call)? = steps[index], case .library(let op) = call.operation else {
      return nil
    }
    return PlanCall(name: op.name, call: call)
  }

  mutating func replace(_ index: Int, with step: PlanStep?) {
    for value in steps[index]?.inputs ?? [] { readers[value]?.removeAll { $0 == index } }
    for value in steps[index]?.outputs ?? [] where producers[value] == index {
      producers[value] = nil
    }
    steps[index] = step
    note(index)
  }

  /// Adds the step at `index` to who makes and reads its values.
  private mutating func note(_ index: Int) {
    guard let step = steps[index] else { return }
    for value in step.outputs { producers[value] = index }
    for value in Set(step.inputs) {
      let place = readers[value]?.firstIndex { $0 > index } ?? readers[value]?.count ?? 0
      readers[value, default: []].insert(index, at: place)
    }
  }

  /// Puts several steps in the place of one; `made` are the shapes of the tensors new with them.
  mutating func replace(_ index: Int, with several: [PlanStep], made: [Int: [Int]]) {
    steps.replaceSubrange(index...index, with: several)
    shapes.merge(made) { $1 }
    (producers, readers) = ([:], [:])
    for index in steps.indices { note(index) }
  }

  /// A number that no tensor has.
  func unusedNumber() -> Int { (shapes.keys.max() ?? 0) + 1 }

  private func mayShareMemory(_ index: Int) -> Bool {
    guard case .call(let call)? = steps[index] else { return false }
    return call.mayShareMemory
  }
}

extension OperatorRecording.Call {
  /// Whether an operator of libtorch writes to its first argument: "aten::add_.Tensor".
  var writesInPlace: Bool {
    guard case .library(let op) = operation else { return false }
    return op.name.split(separator: ".")[0].hasSuffix("_")
  }

  /// Whether results may lie in an argument's memory: they did, or the operator copies only where it
  /// must, which depends on the argument's layout.
  var mayShareMemory: Bool {
    if kinds.contains(where: { $0?.isView == true }) { return true }
    guard case .library(let op) = operation else { return false }
    let name = op.name.split(separator: ".")[0]
    return ["aten::reshape", "aten::flatten", "aten::contiguous", "aten::to"].contains(name)
  }
}

/// A recorded call of one of libtorch's operators, with its arguments by kind.
struct PlanCall {
  let name: String
  let call: OperatorRecording.Call

  /// The number of the only result.
  var result: Int? { call.results.count == 1 ? call.results[0] : nil }

  func value(_ index: Int) -> Int? {
    guard index < call.arguments.count, case .value(let number) = call.arguments[index] else {
      return nil
    }
    return number
  }

  /// A constant of float32.
  func constant(_ index: Int) -> Tensor? {
    guard index < call.arguments.count, case .constant(let tensor) = call.arguments[index],
      tensor.dtype == .float32, tensor.device == .cpu
    else { return nil }
    return tensor
  }

  func literal<Value>(_ index: Int, as type: Value.Type) -> Value? {
    guard index < call.arguments.count, case .literal(let literal) = call.arguments[index] else {
      return nil
    }
    return literal as? Value
  }

  /// Whether the argument was not given.
  func isAbsent(_ index: Int) -> Bool {
    guard index < call.arguments.count else { return true }
    if case .none = call.arguments[index] { return true }
    return false
  }

  /// Of a symmetric operator on a tensor and a constant: both.
  var valueAndConstant: (value: Int, constant: Tensor)? {
    if let value = value(0), let constant = constant(1) { return (value, constant) }
    if let value = value(1), let constant = constant(0) { return (value, constant) }
    return nil
  }

  /// Of a symmetric operator on `value` and another tensor: the other.
  func other(than value: Int) -> Int? {
    guard let (a, b) = self.value(0).flatMap({ a in self.value(1).map { (a, $0) } }), a != b else {
      return nil
    }
    return a == value ? b : b == value ? a : nil
  }
}
