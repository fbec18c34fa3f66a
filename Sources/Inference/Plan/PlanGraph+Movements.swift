import Torch

/// What calls do that only move numbers, one after the other, in one step.
extension PlanGraph {
  /// Calls that make a value of the numbers of another one.
  private struct Movement {
    var root: Int?
    var calls: Set<Int> = []
  }

  /// Makes calls in a row that move numbers one step, where more than one of them writes to new memory. A norm before
  /// them comes behind them, where a layer takes it in.
  mutating func fuseMovements() {
    var index = 0
    while index < steps.count {
      defer { index += 1 }
      guard let call = call(at: index), call.isMovement, call.isFloat32, let result = call.result,
        !isBetweenMovements(result)
      else { continue }
      var movement = Movement()
      guard trace(result, madeAt: index, &movement), let root = movement.root else { continue }
      let copies = movement.calls.count { self.call(at: $0)?.copies == true }
      guard copies > 1 || (copies == 1 && isOfNorm(root)) else { continue }
      let places = places(movement.calls, from: root, to: result)
      let gather = Gather(places, of: shape(of: root))
      let before = movement.calls.subtracting([index])
      if let norm = normBehind(movement.calls, from: root, to: result, places) {
        let moved = unusedNumber()
        var arguments = norm.arguments
        arguments[0] = .value(moved)
        let behind = OperatorRecording.Call(
          operation: norm.operation, arguments: arguments, results: [result], kinds: call.call.kinds
        )
        let normed = producer(of: root)
        replace(
          index, with: [.map(MapStep(x: norm.x, kernel: gather, output: moved)), .call(behind)],
          made: [moved: shape(of: result)])
        dropUnread(before.union([normed].compactMap(\.self)))
        index += 1
      } else if copies > 1 {
        replace(index, with: .map(MapStep(x: root, kernel: gather, output: result)))
        dropUnread(before)
      }
    }
  }

  /// Whether nothing but calls that move numbers reads `value`.
  private func isBetweenMovements(_ value: Int) -> Bool {
    value != output && readers(of: value).allSatisfy { call(at: $0)?.isMovement == true }
  }

  /// Adds the call at `index`, which makes a value, and what makes its arguments, as far as all comes from one root.
  private func trace(_ value: Int, madeAt index: Int, _ movement: inout Movement) -> Bool {
    movement.calls.insert(index)
    for number in call(at: index)?.call.arguments.flatMap(\.numbers) ?? [] {
      if let producer = producer(of: number), call(at: producer)?.isMovement == true,
        isBetweenMovements(number)
      {
        guard trace(number, madeAt: producer, &movement) else { return false }
      } else {
        guard movement.root == nil || movement.root == number else { return false }
        movement.root = number
      }
    }
    return true
  }

  /// Where the numbers of `result` are in `root`.
  private func places(_ calls: Set<Int>, from root: Int, to result: Int) -> [Int32] {
    let count = shape(of: root).reduce(1, *)
    var tensors = [root: Tensor((0..<Int64(count)).map { $0 }, shape: shape(of: root))]
    for index in calls.sorted() {
      guard let call = call(at: index), let value = call.result else { continue }
      tensors[value] =
        call.call.results { number in
          guard let tensor = tensors[number] else { preconditionFailure("no tensor \(number)") }
          return tensor
        }[0]
    }
    return tensors[result]?.contiguous().array(of: Int64.self).map { Int32($0) } ?? []
  }

  private func isOfNorm(_ value: Int) -> Bool {
    guard let call = producer(of: value).flatMap({ call(at: $0) }) else { return false }
    return call.layerNorm != nil || call.fixedBatchNorm != nil
  }

  /// The norm that makes `root`, as it is for the moved numbers of what it reads, if only layers read the result.
  private func normBehind(
    _ calls: Set<Int>, from root: Int, to result: Int, _ places: [Int32]
  ) -> (operation: OperatorRecording.Operation, arguments: [OperatorRecording.Argument], x: Int)? {
    guard root != output, result != output, let call = producer(of: root).flatMap({ call(at: $0) })
    else { return nil }
    let next = readers(of: result).map { steps[$0] }
    if let norm = call.layerNorm, shape(of: result).last == norm.width,
      readers(of: root).allSatisfy({ calls.contains($0) }),
      next.allSatisfy({ if case .rows(let step)? = $0 { !step.readsTwice } else { false } }),
      leavesRowsWhole(places, width: norm.width)
    {
      return (call.call.operation, call.call.arguments, norm.x)
    }
    if let norm = call.fixedBatchNorm,
      next.allSatisfy({ if case .columns(let step)? = $0 { step.isBare } else { false } }),
      let channels = channels(places, from: shape(of: root), to: shape(of: result))
    {
      let arguments = call.call.arguments.map { argument -> OperatorRecording.Argument in
        guard case .constant(let constant) = argument else { return argument }
        return .constant(constant.indexSelect(0, channels))
      }
      return (call.call.operation, arguments, norm.x)
    }
    return nil
  }

  private func leavesRowsWhole(_ places: [Int32], width: Int) -> Bool {
    let width = Int32(width)
    return places.indices.allSatisfy { index in
      let column = Int32(index) % width
      return places[index] % width == column
        && (column == 0 || places[index] == places[index - 1] + 1)
    }
  }

  /// From which channel of [B, C, ...] each one of [B, R, ...] comes, if that is one and of every sample the same.
  private func channels(_ places: [Int32], from root: [Int], to result: [Int]) -> Tensor? {
    guard root.count > 2, result.count > 2 else { return nil }
    let (from, to) = (root[2...].reduce(1, *), result[2...].reduce(1, *))
    var channels = [Int64](repeating: -1, count: result[1])
    for (index, place) in places.enumerated() {
      let (row, channel) = (index / to % result[1], Int64(Int(place) / from % root[1]))
      guard channels[row] < 0 || channels[row] == channel else { return nil }
      channels[row] = channel
    }
    return Tensor(channels, shape: [channels.count])
  }

  /// Drops those of the steps, the last ones first, whose results nothing reads.
  private mutating func dropUnread(_ indices: Set<Int>) {
    for index in indices.sorted(by: >) {
      guard let value = call(at: index)?.result, value != output, readers(of: value).isEmpty
      else { continue }
      replace(index, with: nil)
    }
  }
}
