import Torch

/// Finding the linear layers in what was recorded, and taking into each what stands around it.
extension PlanGraph {
  mutating func fuse() {
    lowerConvolutions()
    foldBatchNorms()
    lowerPatchEmbeddings()
    for index in steps.indices { fuseWindows(at: index) }
    for index in steps.indices { fuseAttention(at: index) }
    for index in steps.indices {
      if let step = rowStep(at: index) { replace(index, with: .rows(step)) }
      if let step = columnStep(at: index) { replace(index, with: .columns(step)) }
    }
    fuseMovements()
    for index in steps.indices {
      // What several layers read is activated once.
      fuseNorm(at: index) { $0.activation != nil && $0.readerCount > 1 }
    }
    for index in steps.indices { absorbAround(index) }
    for index in steps.indices { mergeLayers(into: index) }
    for index in steps.indices { fuseNorm(at: index) { _ in true } }
    fuseSums()
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
      guard let found = convolution(call), found.isPointwise else { return nil }
      let weight = found.weight
      return columnStep(
        x: found.x, weights: weight.reshaped([1] + weight.shape[..<2]), bias: found.bias, output)
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

  // MARK: Norms

  /// A group norm with one group and the activation of its results become one step, where that `pays`.
  private mutating func fuseNorm(
    at index: Int, where pays: (_ norm: (activation: KernelActivation?, readerCount: Int)) -> Bool
  ) {
    guard let call = call(at: index), let found = call.groupNorm, found.groups == 1, call.isFloat32,
      let result = call.result, shape(of: result).count > 2
    else { return }
    let following = activation(of: result)
    let output = following?.output ?? result
    guard pays((following?.activation, readers(of: output).count)) else { return }
    if let following { replace(following.index, with: nil) }
    let norm = MapNorm(
      epsilon: found.epsilon, gain: found.weight, shift: found.bias,
      activation: following?.activation ?? .identity)
    replace(index, with: .map(MapStep(x: found.x, kernel: norm, output: output)))
  }

  /// The activation that alone reads `value`: which call it is, and its result.
  func activation(of value: Int) -> (activation: KernelActivation, index: Int, output: Int)? {
    guard let reader = onlyReader(of: value), let call = call(at: reader),
      let activation = call.activation, let result = call.result
    else { return nil }
    return (activation, reader, result)
  }

  // MARK: Attention

  private mutating func fuseAttention(at index: Int) {
    guard let call = call(at: index), let found = call.attention, call.isFloat32,
      let result = call.result
    else { return }
    let (q, k, v) = (shape(of: found.q), shape(of: found.k), shape(of: found.v))
    guard q.count == 4, k.count == 4, v.count == 4, q[..<2] == k[..<2], k[..<3] == v[..<3]
    else { return }
    // Scores of each query, which those that broadcast are not.
    guard found.mask.map({ 2...4 ~= $0.rank && $0.shape.suffix(2) == [q[2], k[2]] }) ?? true
    else { return }
    let attention = FusedAttention(bias: found.mask)
    replace(
      index,
      with: .call(
        .custom(
          { [attention($0[0], $0[1], $0[2])] }, [found.q, found.k, found.v], result,
          shape(of: result), isView: false)))
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
        first.residual == nil, first.resultScale == nil,
        !first.isSquareOfThree  // has routes of its own; in int8 two steps do as well
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
