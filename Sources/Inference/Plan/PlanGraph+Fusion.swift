import Models
import Torch

/// Finding the linear layers in what was recorded, and taking into each what stands around it.
extension PlanGraph {
  mutating func fuse() {
    foldBatchNorms()
    lowerPatchEmbeddings()
    for index in steps.indices {
      if let step = rowStep(at: index) { replace(index, with: .rows(step)) }
      if let step = columnStep(at: index) { replace(index, with: .columns(step)) }
    }
    for index in steps.indices { absorbAround(index) }
    for index in steps.indices { mergeLayers(into: index) }
  }

  // MARK: Convolutions

  /// Batch norms behind convolutions that no kernel computes become part of their weights.
  private mutating func foldBatchNorms() {
    for index in steps.indices {
      guard let norm = call(at: index), let affine = norm.fixedBatchNorm, let result = norm.result,
        onlyReader(of: affine.x) == index, let before = producer(of: affine.x),
        let convolution = call(at: before), convolution.name == "aten::conv2d",
        let weight = convolution.constant(1), weight.shape[2...] != [1, 1],
        convolution.isAbsent(2) || convolution.constant(2) != nil
      else { continue }
      let bias = convolution.constant(2).map { $0 * affine.scale + affine.shift } ?? affine.shift
      var arguments = convolution.call.arguments
      arguments[1] = .constant(weight * affine.scale.reshaped([-1, 1, 1, 1]))
      arguments[2] = .constant(bias)
      replace(before, with: nil)
      replace(
        index,
        with: .call(
          OperatorRecording.Call(
            operation: convolution.call.operation, arguments: arguments, results: [result],
            kinds: norm.call.kinds)))
    }
  }

  // MARK: Layers

  private func rowStep(at index: Int) -> RowStep? {
    guard let call = call(at: index), call.name == "aten::linear", let x = call.value(0),
      let weight = call.constant(1), call.isAbsent(2) || call.constant(2) != nil,
      let output = call.result
    else { return nil }
    let bias = call.constant(2)
    return RowStep(
      x: x, layer: PlannedLayer(weight: weight, bias: bias), output: output,
      origin: WeightOrigin("linear", weight, bias))
  }

  private func columnStep(at index: Int) -> ColumnStep? {
    guard let call = call(at: index), let output = call.result else { return nil }
    switch call.name {
    case "aten::bmm":
      return columnStep(x: call.value(1), weights: call.constant(0), bias: nil, output)
    case "aten::baddbmm":
      guard let bias = call.constant(0), bias.rank == 2, bias.shape[1] == 1 else { return nil }
      return columnStep(
        x: call.value(2), weights: call.constant(1), bias: bias.select(1, 0), output)
    case "aten::conv2d":
      guard let x = call.value(0), let weight = call.constant(1),
        call.isAbsent(2) || call.constant(2) != nil,
        weight.shape[2...] == [1, 1], call.isPlainConvolution, call.stride == [1, 1]
      else { return nil }
      return columnStep(
        x: x, weights: weight.reshaped([1] + weight.shape[..<2]), bias: call.constant(2), output)
    default: return nil
    }
  }

  /// - Parameter weights: the same matrix for each of the batch.
  private func columnStep(x: Int?, weights: Tensor?, bias: Tensor?, _ output: Int) -> ColumnStep? {
    guard let x, let weights, weights.rank == 3, weights.shape[0] == 1 || weights.strides[0] == 0,
      bias == nil || bias?.shape == [weights.shape[1]]
    else { return nil }
    return ColumnStep(
      x: x, layer: PlannedLayer(weight: weights.select(0, 0), bias: bias), output: output,
      channels: shape(of: x)[2...].reduce(1, *),
      origin: WeightOrigin(
        "columns of \(shape(of: x)[2...].reduce(1, *))", weights.select(0, 0), bias))
  }

  /// A convolution whose stride is its kernel is a linear layer on patches, whose results lie token
  /// by token: [B, I, H, W] -> [B, h, w, O], seen as [B, O, h, w].
  private mutating func lowerPatchEmbeddings() {
    var index = 0
    while index < steps.count {
      defer { index += 1 }
      guard let call = call(at: index), call.name == "aten::conv2d", let x = call.value(0),
        let weight = call.constant(1), call.isAbsent(2) || call.constant(2) != nil,
        let output = call.result, call.isPlainConvolution, call.stride == Array(weight.shape[2...]),
        call.stride != [1, 1]
      else { continue }
      let (kernel, from, to) = (Array(weight.shape[2...]), shape(of: x), shape(of: output))
      let (patches, tokens) = (unusedNumber(), unusedNumber() + 1)
      let (height, width) = (to[2] * kernel[0], to[3] * kernel[1])
      let gather: @Sendable ([Tensor]) -> [Tensor] = { inputs in
        [
          inputs[0].narrowed(2, 0..<height).narrowed(3, 0..<width)
            .reshaped([from[0], from[1], to[2], kernel[0], to[3], kernel[1]])
            .permuted([0, 2, 4, 1, 3, 5]).reshaped([to[0], to[2], to[3], -1])
        ]
      }
      let matrix = weight.reshaped([to[1], -1])
      let rows = RowStep(
        x: patches, layer: PlannedLayer(weight: matrix, bias: call.constant(2)), output: tokens,
        origin: WeightOrigin("patches", weight, call.constant(2)))
      replace(
        index,
        with: [
          .call(
            .custom(gather, x, patches, [to[0], to[2], to[3], matrix.shape[1]], isView: true)),
          .rows(rows),
          .call(.custom({ [$0[0].permuted([0, 3, 1, 2])] }, tokens, output, to, isView: true)),
        ],
        made: [
          patches: [to[0], to[2], to[3], matrix.shape[1]], tokens: [to[0], to[2], to[3], to[1]],
        ])
      index += 2
    }
  }

  // MARK: What stands around

  private mutating func absorbAround(_ start: Int) {
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
    step.origin.add("\(call.name) \(call.factor ?? 1)")
    step.output = result
    return true
  }

  private func absorb(_ call: PlanCall, into step: inout ColumnStep) -> Bool {
    guard let result = call.result, shape(of: result) == shape(of: step.output) else {
      return false
    }
    let isBare = step.gate == nil && step.residual == nil
    let isLinear = isBare && step.layer.activation == .identity && step.resultScale == nil
    if let activation = call.activation {
      guard isLinear else { return false }
      step.layer.activation = activation
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
    step.origin.add("\(call.name) \(call.factor ?? 1)")
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
    guard step.normalization == .none, step.hidden == nil else { return nil }
    var step = step
    let isMap = shape(of: step.x).count > 3
    if let move = move(at: index) {
      guard step.affine == nil, step.entry.isEmpty else { return nil }
      step.entry.moves = (move.axis, move.offsets)
      step.x = move.x
      step.origin.add("moved \(move)")
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
  private func move(at index: Int) -> (x: Int, axis: ColumnMix.Axis, offsets: [Int])? {
    guard case .call(let call)? = steps[index], case .custom(_, let tag) = call.operation,
      let shift = tag as? ChannelShift, shift.padding == .zero,
      case .value(let x)? = call.arguments.first
    else { return nil }
    let offsets = shift.groups(of: shape(of: x)[1]).flatMap { channels, offset in
      channels.map { _ in offset }
    }
    return (x, shift.axis == 2 ? .height : .width, offsets)
  }

  // MARK: Two layers

  /// Makes a layer whose results only this step reads this step's hidden layer.
  private mutating func mergeLayers(into index: Int) {
    switch steps[index] {
    case .rows(var step):
      guard step.epsilon == nil, step.hidden == nil, onlyReader(of: step.x) == index,
        !step.readsTwice,
        let before = producer(of: step.x), case .rows(let first) = steps[before],
        first.hidden == nil, first.gate == nil, first.residual == nil
      else { return }
      (step.x, step.epsilon, step.hidden) = (first.x, first.epsilon, first.layer)
      step.origin.prepend(first.origin)
      replace(before, with: nil)
      replace(index, with: .rows(step))
    case .columns(var step):
      guard step.normalization == .none, step.affine == nil, step.entry.isEmpty,
        step.hidden == nil, onlyReader(of: step.x) == index, !step.readsTwice,
        let before = producer(of: step.x),
        case .columns(let first) = steps[before], first.hidden == nil, first.gate == nil,
        first.residual == nil, first.resultScale == nil
      else { return }
      (step.x, step.normalization, step.affine) = (first.x, first.normalization, first.affine)
      (step.entry, step.hidden) = (first.entry, first.layer)
      step.origin.prepend(first.origin)
      replace(before, with: nil)
      replace(index, with: .columns(step))
    default: return
    }
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
