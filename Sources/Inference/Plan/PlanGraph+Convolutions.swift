import Torch

/// Convolutions become layers over the rows of maps, or windows over them.
extension PlanGraph {
  /// Batch norms behind convolutions that are no layers yet become part of their weights; layers absorb them
  /// like everything else.
  mutating func foldBatchNorms() {
    for index in steps.indices {
      guard let norm = call(at: index), let affine = norm.fixedBatchNorm, let result = norm.result,
        onlyReader(of: affine.x) == index, let before = producer(of: affine.x),
        let call = call(at: before), let found = convolution(call), !found.isPointwise
      else { continue }
      let bias = found.bias.map { $0 * affine.scale + affine.shift } ?? affine.shift
      var arguments = call.call.arguments
      arguments[1] = .constant(found.weight * affine.scale.reshaped([-1, 1, 1, 1]))
      arguments[2] = .constant(bias)
      replace(before, with: nil)
      replace(
        index,
        with: .call(
          OperatorRecording.Call(
            operation: call.call.operation, arguments: arguments, results: [result],
            kinds: norm.call.kinds)))
    }
  }

  /// A convolution whose stride is its kernel is a linear layer on patches. Its results lie token by token,
  /// [B, I, H, W] -> [B, h, w, O], seen as [B, O, h, w], unless all that read them read maps.
  mutating func lowerPatchEmbeddings() {
    var index = 0
    while index < steps.count {
      defer { index += 1 }
      guard let call = call(at: index), let found = convolution(call), found.readsPatches,
        let output = call.result
      else { continue }
      let (x, weight, bias, kernel) = (found.x, found.weight, found.bias, found.kernel)
      let (from, to) = (shape(of: x), shape(of: output))
      let isMap = output != self.output && readers(of: output).allSatisfy { readsMap(at: $0) }
      let (patches, tokens) = (unusedNumber(), unusedNumber() + 1)
      let (height, width) = (to[2] * kernel.height, to[3] * kernel.width)
      let matrix = weight.reshaped([to[1], -1])
      let depth = matrix.shape[1]
      let layer = PlannedLayer(weight: matrix, bias: bias)
      let gathered = isMap ? [to[0], depth, to[2], to[3]] : [to[0], to[2], to[3], depth]
      let gather: @Sendable ([Tensor]) -> [Tensor] = { inputs in
        let parts = inputs[0].narrowed(2, 0..<height).narrowed(3, 0..<width)
          .reshaped([from[0], from[1], to[2], kernel.height, to[3], kernel.width])
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

  /// A convolution that divides a map's sides by its stride is a layer over the map's rows, moved under each
  /// position of the kernel. Where the stride is not 1, every line and column that windows meet at the same
  /// position of theirs become rows of their own before: [B, C, H, W] -> [B, C * parts, h, w].
  mutating func lowerConvolutions() {
    var index = 0
    while index < steps.count {
      defer { index += 1 }
      guard let call = call(at: index), let found = convolution(call), found.groups == 1,
        !found.readsPatches,
        let output = call.result, call.isFloat32
      else { continue }
      let (kernel, stride) = (found.kernel, found.stride)
      let (from, to) = (shape(of: found.x), shape(of: output))
      let isPoint = kernel == (1, 1)
      guard !isPoint || (stride != (1, 1) && found.padding == (0, 0)),
        to[2] == (from[2] + stride.height - 1) / stride.height,
        to[3] == (from[3] + stride.width - 1) / stride.width
      else { continue }
      let moves = MapMoves(
        kernel: kernel, stride: stride, padding: found.padding, channels: from[1])
      guard moves.moves.count <= MapMoves.mostMoves else { continue }
      var entry = ColumnMix.Entry()
      if !isPoint { entry.moves = moves }
      let matrix = found.weight.reshaped([to[1], -1])
      var step = ColumnStep(
        x: found.x, entry: entry, layer: PlannedLayer(weight: matrix, bias: found.bias),
        output: output, channels: to[2] * to[3],
        origin: WeightOrigin(
          "\(moves.key) over \(to[2]) x \(to[3])", found.weight, found.bias))
      guard stride != (1, 1) else {
        replace(index, with: .columns(step))
        continue
      }
      let parted = [from[0], moves.mapRows, to[2], to[3]]
      step.x = unusedNumber()
      let part: @Sendable ([Tensor]) -> [Tensor] = { inputs in
        let (below, right) = (to[2] * stride.height - from[2], to[3] * stride.width - from[3])
        let whole = below + right > 0 ? inputs[0].padded([0, right, 0, below]) : inputs[0]
        let parts =
          whole
          .reshaped([from[0], from[1], to[2], stride.height, to[3], stride.width])
          .permuted([0, 1, 3, 5, 2, 4])
        let read = isPoint ? parts.narrowed(2, 0..<1).narrowed(3, 0..<1) : parts
        return [Sums.reshaped(read, parted)]
      }
      let partStep = PlanStep.call(.custom(part, [found.x], step.x, parted, isView: true))
      replace(index, with: [partStep, .columns(step)], made: [step.x: parted])
      index += 1
    }
  }

  /// Makes a depthwise convolution, or the largest numbers under windows, and the activation of their results
  /// one step.
  mutating func fuseWindows(at index: Int) {
    guard let call = call(at: index), call.isFloat32, let result = call.result,
      shape(of: result).count == 4, let found = windows(call)
    else { return }
    let following = activation(of: result)
    if let following { replace(following.index, with: nil) }
    let kernel = MapWindows(
      found.content, window: found.window, stride: found.stride, padding: found.padding,
      activation: following?.activation ?? .identity)
    replace(
      index, with: .map(MapStep(x: found.x, kernel: kernel, output: following?.output ?? result)))
  }

  private func windows(
    _ call: PlanCall
  ) -> (
    x: Int, content: MapWindows.Content, window: (height: Int, width: Int), stride: Int,
    padding: (top: Int, left: Int)
  )? {
    if let found = convolution(call), found.groups == shape(of: found.x)[1],
      found.weight.shape[0] == found.groups, found.stride.height == found.stride.width
    {
      return (
        found.x, .sum(weight: found.weight, bias: found.bias), found.kernel, found.stride.height,
        (found.padding.height, found.padding.width)
      )
    }
    guard let found = call.maxPool, shape(of: found.x).count == 4,
      found.stride.height == found.stride.width
    else { return nil }
    return (
      found.x, .maximum, found.window, found.stride.height,
      (found.padding.height, found.padding.width)
    )
  }

  /// A convolution of maps [B, C, H, W].
  func convolution(_ call: PlanCall) -> PlanCall.Convolution? {
    call.convolution.flatMap { shape(of: $0.x).count == 4 ? $0 : nil }
  }
}
