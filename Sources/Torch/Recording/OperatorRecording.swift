import CTorch
import Synchronization

/// What a computation did, operator by operator, so that it can be planned and done again.
///
/// Tensors that come from the input are numbered; everything else, weights and what was computed of
/// them alone, is a constant. While it is recorded, a computation must not depend on the *values* of
/// its input other than through operators; a host that reads them is found out.
package final class OperatorRecording: Sendable {
  @TaskLocal package static var current: OperatorRecording?

  /// An argument of a recorded call.
  package enum Argument: Sendable {
    case none
    /// A numbered tensor.
    case value(Int)
    case values([Item])
    case constant(Tensor)
    /// Sizes, numbers, flags, names.
    case literal(any OperatorArgument)
  }

  /// An element of a list of tensors.
  package enum Item: Sendable {
    case value(Int)
    case constant(Tensor)
  }

  /// What was called.
  package enum Operation: Sendable {
    case library(Operator)
    /// Swift code that makes tensors from tensors; `tag` says what it is to whoever knows it.
    case custom(@Sendable ([Tensor]) -> [Tensor], tag: (any Sendable)?)
  }

  package struct Call: Sendable {
    package let operation: Operation
    package let arguments: [Argument]
    /// The numbers of the results; nil for an undefined tensor.
    package let results: [Int?]
    /// Shapes, dtypes and memory of the results at the time.
    package let kinds: [ValueKind?]

    package init(
      operation: Operation, arguments: [Argument], results: [Int?], kinds: [ValueKind?]
    ) {
      (self.operation, self.arguments) = (operation, arguments)
      (self.results, self.kinds) = (results, kinds)
    }
  }

  /// What is known of a numbered tensor.
  package struct ValueKind: Sendable {
    package let shape: [Int]
    package let dtype: DType
    /// Whether it lay in the memory of one of the call's arguments.
    package let isView: Bool

    package init(shape: [Int], dtype: DType, isView: Bool) {
      (self.shape, self.dtype, self.isView) = (shape, dtype, isView)
    }
  }

  package struct Result: Sendable {
    package var calls: [Call] = []
    package var output = 0
    /// Why the calls alone do not tell the computation; nil if they do.
    package var obstacle: String?
  }

  private struct State: Sendable {
    var numbers: [UInt: Int] = [:]
    var next = 1
    var result = Result()
  }

  private let state = Mutex(State())

  private init() {}

  /// Runs `body` on `input`, which becomes number 0.
  package static func record(
    _ input: Tensor, _ body: (Tensor) -> Tensor
  ) -> (output: Tensor, recording: Result) {
    let recording = OperatorRecording()
    recording.state.withLock { $0.numbers[input.address] = 0 }
    let output = $current.withValue(recording) { body(input) }
    let result = recording.state.withLock { state in
      if let number = state.numbers[output.address] {
        state.result.output = number
      } else {
        state.result.obstacle = state.result.obstacle ?? "the output does not depend on the input"
      }
      return state.result
    }
    return (output, result)
  }

  /// Notes a call; what has no numbered argument only ends numbers whose memory was used again.
  func add(
    _ operation: Operation, _ arguments: [(any OperatorArgument)?], _ results: [Tensor?]
  ) {
    state.withLock { state in
      let recorded = arguments.map { argument(of: $0, state.numbers) }
      guard recorded.contains(where: \.isNumbered) else {
        for case let tensor? in results { state.numbers[tensor.address] = nil }
        return
      }
      let memories = arguments.flatMap { tensors(in: $0).map(\.memory) }
      var numbers: [Int?] = []
      var kinds: [ValueKind?] = []
      for tensor in results {
        guard let tensor else {
          numbers.append(nil)
          kinds.append(nil)
          continue
        }
        state.numbers[tensor.address] = state.next
        numbers.append(state.next)
        kinds.append(
          ValueKind(
            shape: tensor.shape, dtype: tensor.dtype, isView: memories.contains(tensor.memory)))
        state.next += 1
      }
      state.result.calls.append(
        Call(operation: operation, arguments: recorded, results: numbers, kinds: kinds))
    }
  }

  /// Notes that the host made a tensor itself.
  func forget(_ tensor: Tensor) {
    state.withLock { $0.numbers[tensor.address] = nil }
  }

  /// Notes that the host reads or writes the tensor's elements.
  func read(_ tensor: Tensor) {
    state.withLock { state in
      guard state.numbers[tensor.address] != nil else { return }
      state.result.obstacle =
        state.result.obstacle ?? "the host reads or writes numbers that depend on the input"
    }
  }

  private func argument(
    of argument: (any OperatorArgument)?, _ numbers: [UInt: Int]
  ) -> Argument {
    switch argument {
    case nil: .none
    case let tensor as Tensor:
      numbers[tensor.address].map { .value($0) } ?? .constant(tensor)
    case let list as [Tensor]:
      .values(
        list.map { tensor in numbers[tensor.address].map { .value($0) } ?? .constant(tensor) })
    case let literal?: .literal(literal)
    }
  }

  private func tensors(in argument: (any OperatorArgument)?) -> [Tensor] {
    switch argument {
    case let tensor as Tensor: [tensor]
    case let list as [Tensor]: list
    default: []
    }
  }
}

extension OperatorRecording.Argument {
  /// Whether it holds a numbered tensor.
  var isNumbered: Bool {
    switch self {
    case .value: true
    case .values(let items):
      items.contains { if case .value = $0 { true } else { false } }
    default: false
    }
  }
}

extension Tensor {
  /// Tells this tensor from all others that live.
  fileprivate var address: UInt { UInt(bitPattern: pointer) }
  /// The same for all views of the same memory.
  package var memory: UInt { UInt(bitPattern: ct_tensor_storage(pointer)) }
  /// The first element's address.
  package var place: UInt { UInt(bitPattern: ct_tensor_data(pointer)) }
  /// How many elements lie between neighbours along each dimension.
  package var strides: [Int] {
    let rank = Int(ct_tensor_rank(pointer))
    return [Int](unsafeUninitializedCapacity: rank) { buffer, count in
      buffer.withMemoryRebound(to: Int64.self) { strides in
        if let start = strides.baseAddress { ct_tensor_strides(pointer, start) }
      }
      count = rank
    }
  }
}
