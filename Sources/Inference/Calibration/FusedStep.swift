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
          step.normalization == .none ? nil : "norm", step.affine == nil ? nil : "affine",
          step.entry.activation == .identity ? nil : "\(step.entry.activation)",
          step.entry.moves.map { "moved along the \($0.axis)" }, step.hidden?.name, step.layer.name,
          step.resultScale == nil ? nil : "scaled",
          step.gate == nil ? nil : "gate", step.residual == nil ? nil : "residual",
        ]
      }
    return parts.compactMap(\.self).joined(separator: ", ")
  }

  /// The Euclidean norm of its layers' weights.
  var norm: Double {
    let layers =
      switch self {
      case .rows(let step): [step.hidden, step.layer]
      case .columns(let step): [step.hidden, step.layer]
      }
    let norms = layers.compactMap { $0?.weight.to(.float64).norm().item }
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
      case .call: nil
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
