import Torch

/// A step of a plan that one of the kernels computes.
enum FusedStep {
  case rows(RowStep)
  case columns(ColumnStep)

  var origin: WeightOrigin {
    switch self {
    case .rows(let step): step.origin
    case .columns(let step): step.origin
    }
  }

  var output: Int {
    switch self {
    case .rows(let step): step.output
    case .columns(let step): step.output
    }
  }

  /// What it computes, whatever the batch: "512 channels, norm, 2048 gelu, 512 identity, residual".
  var sizes: String {
    let parts: [String?] =
      switch self {
      case .rows(let step):
        [
          "\((step.hidden ?? step.layer).weight.shape[1]) channels",
          step.epsilon == nil ? nil : "norm", step.hidden?.name, step.layer.name,
          step.gate == nil ? nil : "gate", step.residual == nil ? nil : "residual",
        ]
      case .columns(let step):
        [
          "\((step.hidden ?? step.layer).weight.shape[1]) tokens of \(step.channels)",
          step.normalization == .none ? nil : "\(step.normalization)",
          step.affine == nil ? nil : "affine", step.entry.affine == nil ? nil : "affine tokens",
          step.entry.activation == .identity ? nil : "\(step.entry.activation)",
          step.entry.moves?.name, step.hidden?.name, step.layer.name,
          step.resultScale == nil ? nil : "scaled",
          step.gate == nil ? nil : "gate", step.residual == nil ? nil : "residual",
          step.sumActivation == .identity ? nil : "then \(step.sumActivation)",
        ]
      }
    return parts.compactMap(\.self).joined(separator: ", ")
  }

  /// The Euclidean norm of all its constants.
  var norm: Double {
    let layers: [PlannedLayer?]
    var constants: [Tensor?] = []
    switch self {
    case .rows(let step): layers = [step.hidden, step.layer]
    case .columns(let step):
      layers = [step.hidden, step.layer]
      constants = [step.affine?.scale, step.affine?.shift, step.resultScale]
      constants += [step.entry.affine?.scale, step.entry.affine?.shift]
    }
    constants += layers.flatMap { [$0?.weight, $0?.bias] }
    let norms = constants.compactMap { $0?.to(.float64).norm().item }
    return norms.map { $0 * $0 }.reduce(0, +).squareRoot()
  }

  /// What its first layer multiplies, and what its second one does, of the numbers `x` that it reads.
  func multiplied(of x: Tensor) -> (input: Tensor, hidden: Tensor?) {
    switch self {
    case .rows(let step):
      let input = step.epsilon.map { x.layerNorm(nil, nil, epsilon: $0) } ?? x
      return (
        input, step.hidden.map { input.linear($0.weight, $0.bias).activated($0.activation) }
      )
    case .columns(let step):
      let input = step.multiplied(of: x)
      return (
        input, step.hidden.map { input.rowLinear($0.weight, $0.bias).activated($0.activation) }
      )
    }
  }
}

extension PlanGraph {
  var fusedSteps: [FusedStep] {
    runnable.compactMap { step in
      switch step {
      case .call, .map: nil
      case .rows(let step): .rows(step)
      case .columns(let step): .columns(step)
      }
    }
  }
}

extension PlannedRun {
  /// What a step that ran last had read.
  func input(of step: FusedStep) -> Tensor {
    switch step {
    case .rows(let step): tensor(step.x)
    case .columns(let step): tensor(step.x)
    }
  }

  /// Computes a step that ran last again, in bytes, into `y`.
  func compute(
    _ step: FusedStep, inBytes weights: PackedWeights, _ ranges: ActivationRanges, into y: Tensor
  ) {
    switch step {
    case .rows(let step):
      weights.rows(step).taking(ranges)(
        rows(step.x), gate: step.gate.map(rows), residual: step.residual.map(rows), into: y)
    case .columns(let step):
      weights.columns(step).taking(ranges)(
        columns(step.x), gate: step.gate.map(columns), residual: step.residual.map(columns),
        into: y)
    }
  }
}

extension ColumnStep {
  /// What the first layer multiplies: [B, S, ...] -> [B, S, C].
  func multiplied(of x: Tensor) -> Tensor {
    var x = x
    switch normalization {
    case .none: break
    case .rows(let epsilon): x = x.layerNorm(nil, nil, epsilon: epsilon)
    case .matrices(let epsilon): x = x.groupNorm(nil, nil, groups: 1, epsilon: epsilon)
    }
    if let (scale, shift) = affine { x = x * scale + shift }
    if let (scale, shift) = entry.affine {
      x = x * scale.reshaped([-1, 1, 1]) + shift.reshaped([-1, 1, 1])
    }
    x = x.activated(entry.activation)
    if let moves = entry.moves { x = x.moved(moves) }
    return x.flattened(from: 2)
  }
}

extension Tensor {
  /// The rows of [B, S, H, W] that move, as they are then, zeros coming in.
  fileprivate func moved(_ moves: MapMoves) -> Tensor {
    let moved = moves.moves.map { move in
      let leaves = move.down.magnitude >= shape[2] || move.right.magnitude >= shape[3]
      // Negative amounts cut off.
      return leaves ? .zeros(shape) : padded([move.right, -move.right, move.down, -move.down])
    }
    let numbers = moves.rows.map { Int64($0.move * shape[1] + $0.row) }
    return Tensor.concatenated(moved, dimension: 1)
      .indexSelect(1, Tensor(numbers, shape: [numbers.count]))
  }
}
