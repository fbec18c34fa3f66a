import Models
import Torch

/// Taking into a layer what stands around it.
extension PlanGraph {
  /// Takes into the layers at `start` what stands before and behind them, as far as a kernel does it.
  mutating func absorbAround(_ start: Int) {
    var index = start
    while true {
      switch steps[index] {
      case .rows(var step):
        if absorbProducer(of: &step) {
          replace(index, with: .rows(step))
        } else if let reader = onlyReader(of: step.output), let call = call(at: reader),
          absorb(call, into: &step)
        {
          replace(index, with: nil)
          replace(reader, with: .rows(step))
          index = reader
        } else {
          return
        }
      case .columns(var step):
        if absorbProducer(ofColumns: step) { continue }
        if let reader = onlyReader(of: step.output), let call = call(at: reader),
          absorb(call, into: &step)
        {
          replace(index, with: nil)
          replace(reader, with: .columns(step))
          index = reader
        } else {
          return
        }
      default: return
      }
    }
  }

  /// Takes what reads the step's results into the step.
  private func absorb(_ call: PlanCall, into step: inout RowStep) -> Bool {
    guard let result = call.result, shape(of: result) == shape(of: step.output) else {
      return false
    }
    let isBare = step.gate == nil && step.residual == nil
    let isLinear = isBare && step.layer.activation == .identity
    let width = step.layer.weight.shape[0]
    if let activation = call.activation {
      guard isLinear else { return false }
      step.layer.activation = activation
    } else if call.isProduct, let (_, scale) = call.valueAndConstant {
      guard isLinear, let scale = scale.vector(width) else { return false }
      step.layer.absorb(resultScale: scale)
      step.origin.add("times", scale)
    } else if call.isSum, let (_, shift) = call.valueAndConstant {
      guard isLinear, let shift = shift.vector(width) else { return false }
      step.layer.add(toBias: shift)
      step.origin.add("plus", shift)
    } else if let factor = call.factor {
      guard isLinear else { return false }
      step.layer.absorb(resultScale: .full([1], factor))
    } else if call.isProduct, let gate = call.other(than: step.output) {
      guard isBare, shape(of: gate) == shape(of: result) else { return false }
      step.gate = gate
    } else if call.isSum, let residual = call.other(than: step.output) {
      guard step.residual == nil, shape(of: residual) == shape(of: result) else { return false }
      step.residual = residual
    } else {
      return false
    }
    step.origin.add("\(call.name) \(call.activation ?? .identity) \(call.factor ?? 1)")
    step.output = result
    return true
  }

  private func absorb(_ call: PlanCall, into step: inout ColumnStep) -> Bool {
    guard let result = call.result, shape(of: result) == shape(of: step.output),
      step.sumActivation == .identity
    else { return false }
    let isBare = step.gate == nil && step.residual == nil
    let isLinear = isBare && step.layer.activation == .identity && step.resultScale == nil
    if let activation = call.activation {
      if step.residual != nil {
        step.sumActivation = activation
      } else {
        guard isLinear else { return false }
        step.layer.activation = activation
      }
    } else if let norm = call.fixedBatchNorm {
      guard isLinear else { return false }
      step.layer.absorb(resultScale: norm.scale)
      step.layer.add(toBias: norm.shift)
      step.origin.add("batch norm", norm.constants)
    } else if call.isProduct, let (_, scale) = call.valueAndConstant {
      guard isBare, step.resultScale == nil, shape(of: result).count == 3,
        let scale = scale.vector(step.channels)
      else { return false }
      step.resultScale = scale.expanded([step.channels])
      step.origin.add("times", scale)
    } else if let factor = call.factor {
      guard isLinear else { return false }
      step.layer.absorb(resultScale: .full([1], factor))
    } else if call.isProduct, let gate = call.other(than: step.output) {
      guard isBare, shape(of: gate) == shape(of: result) else { return false }
      step.gate = gate
    } else if call.isSum, let residual = call.other(than: step.output) {
      guard step.residual == nil, shape(of: residual) == shape(of: result) else { return false }
      step.residual = residual
    } else {
      return false
    }
    step.origin.add("\(call.name) \(call.activation ?? .identity) \(call.factor ?? 1)")
    step.output = result
    return true
  }

  /// Takes the norm or affine that only this step reads into the step.
  private mutating func absorbProducer(of step: inout RowStep) -> Bool {
    let depth = (step.hidden ?? step.layer).weight.shape[1]
    guard step.epsilon == nil, step.hidden == nil, onlyReader(of: step.x) != nil, !step.readsTwice,
      let index = producer(of: step.x), let call = call(at: index)
    else { return false }
    if let norm = call.layerNorm, norm.width == depth {
      if let shift = norm.bias { step.layer.absorb(inputShift: shift) }
      if let scale = norm.weight { step.layer.absorb(inputScale: scale) }
      step.epsilon = norm.epsilon
      step.x = norm.x
      step.origin.add("norm \(norm.epsilon)", norm.weight, norm.bias)
    } else if call.isSum, let (x, shift) = call.valueAndConstant, let shift = shift.vector(depth),
      shape(of: x) == shape(of: step.x)
    {
      step.layer.absorb(inputShift: shift)
      step.x = x
      step.origin.add("after plus", shift)
    } else if call.isProduct, let (x, scale) = call.valueAndConstant,
      let scale = scale.vector(depth), shape(of: x) == shape(of: step.x)
    {
      step.layer.absorb(inputScale: scale)
      step.x = x
      step.origin.add("after times", scale)
    } else {
      return false
    }
    replace(index, with: nil)
    return true
  }

  /// Takes what makes the step's input into it, and into all others that read that.
  private mutating func absorbProducer(ofColumns step: ColumnStep) -> Bool {
    guard step.x != output, let index = producer(of: step.x) else { return false }
    var changed: [(index: Int, step: ColumnStep)] = []
    for reader in readers(of: step.x) {
      guard case .columns(let other)? = steps[reader], other.x == step.x, !other.readsTwice,
        let taken = absorbing(index, into: other)
      else { return false }
      changed.append((reader, taken))
    }
    for (reader, step) in changed { replace(reader, with: .columns(step)) }
    replace(index, with: nil)
    return true
  }

  /// The step with the norm, affine, activation or move at `index` in it.
  private func absorbing(_ index: Int, into step: ColumnStep) -> ColumnStep? {
    guard step.normalization == .none, step.hidden == nil,
      step.entry.moves?.readsEachOnce ?? true  // or all would be computed again and again
    else { return nil }
    var step = step
    let isMap = shape(of: step.x).count > 3
    if let move = move(at: index) {
      guard step.affine == nil, step.entry.isEmpty else { return nil }
      step.entry.moves = move.moves
      step.x = move.x
      step.origin.add(move.moves.key)
      return step
    }
    guard let call = call(at: index) else { return nil }
    if let activation = call.activation, let x = call.value(0) {
      guard step.entry.moves != nil, step.entry.activation == .identity else { return nil }
      step.entry.activation = activation
      step.x = x
      step.origin.add("after \(activation)")
    } else if let norm = call.layerNorm, norm.width == step.channels, !isMap {
      step.scale(by: norm.weight, norm.bias)
      step.normalization = .rows(epsilon: norm.epsilon)
      step.x = norm.x
      step.origin.add("norm \(norm.epsilon)", norm.weight, norm.bias)
    } else if let norm = call.fixedBatchNorm, isMap, step.affine == nil, step.entry.isEmpty {
      step.layer.absorb(inputShift: norm.shift)
      step.layer.absorb(inputScale: norm.scale)
      step.x = norm.x
      step.origin.add("after batch norm", norm.constants)
    } else if let norm = call.groupNorm, norm.groups == 1, step.affine == nil {
      if !step.entry.isEmpty {
        let count = shape(of: norm.x)[1]
        step.entry.affine = (norm.weight ?? .ones([count]), norm.bias ?? .zeros([count]))
      } else {
        if let shift = norm.bias { step.layer.absorb(inputShift: shift) }
        if let scale = norm.weight { step.layer.absorb(inputScale: scale) }
      }
      step.normalization = .matrices(epsilon: norm.epsilon)
      step.x = norm.x
      step.origin.add("norms \(norm.epsilon)", norm.weight, norm.bias)
    } else if call.isSum, !isMap, let (x, shift) = call.valueAndConstant,
      let shift = shift.vector(step.channels), shape(of: x) == shape(of: step.x)
    {
      step.scale(by: nil, shift)
      step.x = x
      step.origin.add("after plus", shift)
    } else if call.isProduct, !isMap, let (x, scale) = call.valueAndConstant,
      let scale = scale.vector(step.channels), shape(of: x) == shape(of: step.x)
    {
      step.scale(by: scale, nil)
      step.x = x
      step.origin.add("after times", scale)
    } else {
      return nil
    }
    return step
  }

  /// The axial shift at `index`, if zeros come in.
  private func move(at index: Int) -> (x: Int, moves: MapMoves)? {
    guard case .call(let call)? = steps[index], case .custom(_, let tag) = call.operation,
      let shift = tag as? ChannelShift, shift.padding == .zero,
      case .value(let x)? = call.arguments.first
    else { return nil }
    let offsets = shift.groups(of: shape(of: x)[1]).flatMap { channels, offset in
      channels.map { _ in offset }
    }
    let moves = MapMoves(along: shift.axis == 2 ? .height : .width, by: offsets)
    return moves.moves.count <= MapMoves.mostMoves ? (x, moves) : nil
  }
}

extension ColumnStep {
  /// What the step computes of `x * scale + shift`; nil for one and zero.
  fileprivate mutating func scale(by scale: Tensor?, _ shift: Tensor?) {
    let now = affine ?? (.ones([channels]), .zeros([channels]))
    affine = (
      scale.map { now.scale * $0 } ?? now.scale,
      shift.map { now.shift + now.scale * $0 } ?? now.shift
    )
  }
}
