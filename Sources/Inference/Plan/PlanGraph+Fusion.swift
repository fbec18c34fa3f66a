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
    for index in steps.indices {
      // What several layers read is activated once.
      fuseNorm(at: index) { $0.activation != nil && $0.readerCount > 1 }
    }
    for index in steps.indices { absorbAround(index) }
    for index in steps.indices { mergeLayers(into: index) }
    for index in steps.indices { fuseNorm(at: index) { _ in true } }
    fuseSums()
  }

  // MARK: Convolutions

  /// Batch norms behind convolutions with more than one position become part of their weights; those at
  /// 1x1 are absorbed like everything else.
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

  /// A convolution whose stride is its kernel is a linear layer on patches. Its results lie token by token,
  /// [B, I, H, W] -> [B, h, w, O], seen as [B, O, h, w], unless all that read them read maps.
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
      let isMap = output != self.output && readers(of: output).allSatisfy { readsMap(at: $0) }
      let (patches, tokens) = (unusedNumber(), unusedNumber() + 1)
      let (height, width) = (to[2] * kernel[0], to[3] * kernel[1])
      let matrix = weight.reshaped([to[1], -1])
      let (depth, bias) = (matrix.shape[1], call.constant(2))
      let layer = PlannedLayer(weight: matrix, bias: bias)
      let gathered = isMap ? [to[0], depth, to[2], to[3]] : [to[0], to[2], to[3], depth]
      let gather: @Sendable ([Tensor]) -> [Tensor] = { inputs in
        let parts = inputs[0].narrowed(2, 0..<height).narrowed(3, 0..<width)
          .reshaped([from[0], from[1], to[2], kernel[0], to[3], kernel[1]])
          .permuted(isMap ? [0, 1, 3, 5, 2, 4] : [0, 2, 4, 1, 3, 5])
        return [Sums.reshaped(parts, gathered)]
      }
      let gatherStep = PlanStep.call(.custom(gather, [x], patches, gathered, isView: true))
      if isMap {
        let columns = ColumnStep(
          x: patches, layer: layer, output: output, channels: to[2] * to[3],
          origin: WeightOrigin("maps of patches", weight, bias))
        replace(index, with: [gatherStep, .columns(columns)], made: [patches: gathered])
        index += 1
      } else {
        let rows = RowStep(
          x: patches, layer: layer, output: tokens,
          origin: WeightOrigin("patches", weight, bias))
        let view = OperatorRecording.Call.custom(
          { [$0[0].permuted([0, 3, 1, 2])] }, [tokens], output, to, isView: true)
        replace(
          index, with: [gatherStep, .rows(rows), .call(view)],
          made: [patches: gathered, tokens: [to[0], to[2], to[3], to[1]]])
        index += 2
      }
    }
  }

  /// Whether the step reads [B, C, H, W] as it lies, not another view of it. How its own results are read
  /// is not asked.
  private func readsMap(at index: Int) -> Bool {
    guard case .call(let call)? = steps[index] else { return true }
    return !call.mayShareMemory
  }

  // MARK: Norms

  /// A group norm with one group and the activation of its results become one step, where that `pays`.
  private mutating func fuseNorm(
    at index: Int, where pays: (_ norm: (activation: KernelActivation?, readerCount: Int)) -> Bool
  ) {
    guard let call = call(at: index), let found = call.groupNorm, found.groups == 1, call.isFloat32,
      var output = call.result, shape(of: output).count > 2
    else { return }
    var activation: KernelActivation?
    let reader = onlyReader(of: output)
    if let following = reader.flatMap({ self.call(at: $0) }), let result = following.result {
      activation = following.activation
      if activation != nil { output = result }
    }
    guard pays((activation, readers(of: output).count)) else { return }
    if activation != nil, let reader { replace(reader, with: nil) }
    let norm = MapNorm(
      epsilon: found.epsilon, gain: found.weight, shift: found.bias,
      activation: activation ?? .identity)
    replace(index, with: .map(MapStep(x: found.x, norm: norm, output: output)))
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
