import Torch

/// What calls do that only move numbers, one after the other, in one step.
extension PlanGraph {
  /// Calls that make a value of the numbers of another one.
  private struct Movement {
    var root: Int?
    var calls: Set<Int> = []
  }

  /// Makes calls in a row that move numbers one step, where more than one of them writes to new memory. A norm before
  /// them comes behind them, where a layer takes it in; then one that writes is enough.
  mutating func fuseMovements() {
    var index = 0
    while index < steps.count {
      defer { index += 1 }
      guard let call = call(at: index), call.isMovement, call.isFloat32, let result = call.result,
        !isBetweenMovements(result)
      else { continue }
      var movement = Movement()
      guard trace(index, &movement), let root = movement.root,
        max(count(of: root), count(of: result)) < Int(Int32.max)
      else { continue }
      let copies = movement.calls.count { self.call(at: $0)?.copies == true }
      let norm = copies > 0 ? norm(of: root, readBy: movement.calls, result) : nil
      guard copies > 1 || norm != nil else { continue }
      let places = places(movement.calls, from: root, to: result)
      let before = movement.calls.subtracting([index])
      let shape = shape(of: root)
      if let norm, let behind = behind(norm, places, from: shape, to: result) {
        let moved = unusedNumber()
        let gather = MapStep(x: norm.x, kernel: Gather(places, of: shape), output: moved)
        let normed = producer(of: root)
        replace(
          index, with: [.map(gather), .call(behind(moved))],
          made: [moved: self.shape(of: result)])
        dropUnread(before.union([normed].compactMap(\.self)))
        index += 1
      } else if copies > 1 {
        let gather = MapStep(x: root, kernel: Gather(places, of: shape), output: result)
        replace(index, with: .map(gather))
        dropUnread(before)
      }
    }
  }

  private func count(of value: Int) -> Int { shape(of: value).reduce(1, *) }

  /// Whether nothing but calls that move numbers reads `value`.
  private func isBetweenMovements(_ value: Int) -> Bool {
    value != output && readers(of: value).allSatisfy { call(at: $0)?.isMovement == true }
  }

  /// Adds the call at `index` and what makes its arguments, as far as all comes from one root.
  private func trace(_ index: Int, _ movement: inout Movement) -> Bool {
    guard movement.calls.insert(index).inserted else { return true }
    for number in call(at: index)?.call.arguments.flatMap(\.numbers) ?? [] {
      if let producer = producer(of: number), call(at: producer)?.isMovement == true,
        isBetweenMovements(number)
      {
        guard trace(producer, &movement) else { return false }
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

  // MARK: Norms before them

  /// A norm whose result moves, and what it reads.
  private struct NormBefore {
    let call: OperatorRecording.Call
    let x: Int
    /// Of a layer norm: how long its rows are. nil: a batch norm.
    let width: Int?
  }

  /// The norm that makes `root`, if behind `calls` the layers that read the result take it in, and nothing before it
  /// could have.
  private func norm(of root: Int, readBy calls: Set<Int>, _ result: Int) -> NormBefore? {
    guard root != output, result != output, let call = producer(of: root).flatMap({ call(at: $0) })
    else { return nil }
    let next = readers(of: result).map { steps[$0] }
    let isReadHere = readers(of: root).allSatisfy { calls.contains($0) }
    if let norm = call.layerNorm, shape(of: result).last == norm.width, isReadHere,
      next.count == 1, case .rows(let step)? = next[0], !step.readsTwice
    {
      return NormBefore(call: call.call, x: norm.x, width: norm.width)
    }
    if let norm = call.fixedBatchNorm, shape(of: root).count == 4, shape(of: result).count == 4,
      isReadHere || !isOfLayer(norm.x),
      next.allSatisfy({ if case .columns(let step)? = $0 { step.isBare } else { false } })
    {
      return NormBefore(call: call.call, x: norm.x, width: nil)
    }
    return nil
  }

  /// Whether a layer makes `value` for one reader, which it takes in.
  private func isOfLayer(_ value: Int) -> Bool {
    guard onlyReader(of: value) != nil, let index = producer(of: value) else { return false }
    if case .columns? = steps[index] { return true }
    return false
  }

  /// The norm as it is for the moved numbers, given theirs; nil where it is none of the kind.
  private func behind(
    _ norm: NormBefore, _ places: [Int32], from root: [Int], to result: Int
  ) -> ((_ moved: Int) -> OperatorRecording.Call)? {
    var arguments = norm.call.arguments
    if let width = norm.width {
      guard leavesRowsWhole(places, width: width) else { return nil }
    } else {
      guard let channels = channels(places, from: root, to: shape(of: result)) else { return nil }
      arguments = arguments.map { argument in
        guard case .constant(let constant) = argument else { return argument }
        return .constant(constant.indexSelect(0, channels))
      }
    }
    let kind = OperatorRecording.ValueKind(
      shape: shape(of: result), dtype: .float32, isView: false)
    return { moved in
      arguments[0] = .value(moved)
      return OperatorRecording.Call(
        operation: norm.call.operation, arguments: arguments, results: [result], kinds: [kind])
    }
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
