import Torch

/// One thing that a plan does: an operator's call as it was recorded, or a fused kernel that does the
/// work of several.
enum PlanStep {
  case call(OperatorRecording.Call)
  case rows(RowStep)
  case columns(ColumnStep)
  case map(MapStep)

  /// The numbered tensors that it reads.
  var inputs: [Int] {
    switch self {
    case .call(let call): call.arguments.flatMap(\.numbers)
    case .rows(let step): [step.x] + [step.gate, step.residual].compactMap(\.self)
    case .columns(let step): [step.x] + [step.gate, step.residual].compactMap(\.self)
    case .map(let step): [step.x]
    }
  }

  /// The numbered tensors that it makes.
  var outputs: [Int] {
    switch self {
    case .call(let call): call.results.compactMap(\.self)
    case .rows(let step): [step.output]
    case .columns(let step): [step.output]
    case .map(let step): [step.output]
    }
  }
}

extension OperatorRecording.Argument {
  var numbers: [Int] {
    switch self {
    case .value(let number): [number]
    case .values(let items):
      items.compactMap { if case .value(let number) = $0 { number } else { nil } }
    default: []
    }
  }
}

extension OperatorRecording.Call {
  /// What it makes of the numbered tensors.
  func results(of tensor: (Int) -> Tensor) -> [Tensor?] {
    switch operation {
    case .library(let op): op.call(arguments.map { $0.resolved(tensor) })
    case .custom(let run, _): run(arguments.compactMap { $0.resolved(tensor) as? Tensor })
    }
  }
}

extension OperatorRecording.Argument {
  fileprivate func resolved(_ tensor: (Int) -> Tensor) -> (any OperatorArgument)? {
    switch self {
    case .none: nil
    case .value(let number): tensor(number)
    case .values(let items):
      items.map { item in
        switch item {
        case .value(let number): tensor(number)
        case .constant(let constant): constant
        }
      }
    case .constant(let constant): constant
    case .literal(let literal): literal
    }
  }
}

/// A linear layer with what follows it: `activation(x W^T + b)`.
struct PlannedLayer {
  /// [O, I]
  var weight: Tensor
  /// [O]
  var bias: Tensor?
  var activation = KernelActivation.identity

  /// What the layer computes of `x * scale`, for a scale [I].
  mutating func absorb(inputScale scale: Tensor) { weight = weight * scale.reshaped([-1]) }

  /// What the layer computes of `x + shift`, for a shift [I].
  mutating func absorb(inputShift shift: Tensor) {
    add(toBias: weight.matmul(shift.expanded([weight.shape[1]]).contiguous()))
  }

  /// The layer's results times `scale` [O] or [1]; only where nothing follows it yet.
  mutating func absorb(resultScale scale: Tensor) {
    weight = weight * scale.unsqueezed(1)
    bias = bias.map { $0 * scale }
  }

  /// The layer's results plus `shift` [O] or [1]; only where nothing follows it yet.
  mutating func add(toBias shift: Tensor) {
    bias = (bias ?? .zeros([weight.shape[0]])) + shift
  }

  /// With weights rounded to `dtype`.
  func rounded(to dtype: DType?) -> PlannedLayer {
    guard let dtype else { return self }
    var layer = self
    layer.weight = weight.to(dtype).to(.float32)
    return layer
  }
}

/// What ``RowMix`` will do: `activation(f(x) W^T + b) * gate + residual`.
struct RowStep {
  var x: Int
  /// Of the normalisation of each row; nil for none.
  var epsilon: Double?
  var hidden: PlannedLayer?
  var layer: PlannedLayer
  var gate: Int?
  var residual: Int?
  var output: Int
  var origin: WeightOrigin

  /// Whether what is multiplied is also the gate or the residual.
  var readsTwice: Bool { gate == x || residual == x }

  /// The step's layers as steps of their own; what lies between has no number.
  var layers: [RowStep] {
    guard let hidden else { return [self] }
    var (first, second) = (self, self)
    (first.layer, first.hidden, first.gate, first.residual) = (hidden, nil, nil, nil)
    (second.epsilon, second.hidden) = (nil, nil)
    first.origin.add("first")
    second.origin.add("second")
    return [first, second]
  }

  /// What decides how fast it is, for `rows` rows.
  func key(rows: Int, _ precision: InferencePrecision) -> String {
    routeKey(
      precision, "\(rows)x\((hidden ?? layer).weight.shape[1])",
      [epsilon == nil ? nil : "norm", hidden?.name, layer.name], gate, residual)
  }
}

extension PlannedLayer {
  var name: String { "\(weight.shape[0]) \(activation)" }
}

private func routeKey(
  _ precision: InferencePrecision, _ sizes: String, _ parts: [String?], _ gate: Int?,
  _ residual: Int?, _ sumActivation: KernelActivation = .identity
) -> String {
  let around = [
    gate == nil ? nil : "gate", residual == nil ? nil : "residual",
    sumActivation == .identity ? nil : "then \(sumActivation)",
  ]
  return (["\(precision.rawValue) \(sizes)"] + (parts + around).compactMap(\.self))
    .joined(separator: ", ")
}

/// What ``ColumnMix`` will do: `sumActivation(activation(W f(x) + b) * resultScale * gate + residual)`.
struct ColumnStep {
  var x: Int
  var normalization = ColumnMix.Normalization.none
  /// What follows the normalisation: `* scale + shift` for each channel, both [C].
  var affine: (scale: Tensor, shift: Tensor)?
  /// What follows that, on maps.
  var entry = ColumnMix.Entry()
  var hidden: PlannedLayer?
  var layer: PlannedLayer
  /// [C]
  var resultScale: Tensor?
  var gate: Int?
  var residual: Int?
  var sumActivation = KernelActivation.identity
  var output: Int
  /// The number of channels C.
  let channels: Int
  var origin: WeightOrigin

  /// Whether what is multiplied is also the gate or the residual.
  var readsTwice: Bool { gate == x || residual == x }

  /// Whether it is one layer of what nothing else reads in it, and nothing is done to before.
  var isBare: Bool {
    normalization == .none && affine == nil && entry.isEmpty && hidden == nil && !readsTwice
  }

  /// Whether it is a convolution with kernels of 3x3 of what nothing is done to before.
  var isSquareOfThree: Bool {
    entry.moves?.areSquaresOfThree == true && entry.affine == nil && entry.activation == .identity
      && normalization == .none && hidden == nil
  }

  /// The step's layers as steps of their own; what lies between has no number.
  var layers: [ColumnStep] {
    guard let hidden else { return [self] }
    var (first, second) = (self, self)
    (first.layer, first.hidden, first.gate, first.residual) = (hidden, nil, nil, nil)
    (first.resultScale, first.sumActivation) = (nil, .identity)
    (second.normalization, second.affine, second.hidden) = (.none, nil, nil)
    second.entry = ColumnMix.Entry()
    first.origin.add("first")
    second.origin.add("second")
    return [first, second]
  }

  /// What decides how fast it is, for matrices of a batch.
  func key(batch: Int, _ precision: InferencePrecision) -> String {
    routeKey(
      precision, "\(batch)x\((hidden ?? layer).weight.shape[1])x\(channels) over tokens",
      [
        normalization == .none ? nil : "\(normalization)", affine == nil ? nil : "affine",
        entry.activation == .identity ? nil : "\(entry.activation)", entry.moves?.name,
        hidden?.name, layer.name, resultScale == nil ? nil : "scaled",
      ], gate, residual, sumActivation)
  }
}

/// A norm of maps, windows over them, or their numbers in another order.
struct MapStep {
  let x: Int
  let kernel: any MapKernel
  let output: Int
}

/// What a step's weights were made of: steps of two plans with the same origin share packed weights.
struct WeightOrigin {
  private(set) var key: String
  /// Keeps the constants, so that no others get their addresses.
  private(set) var constants: [Tensor] = []

  init(_ name: String, _ constants: Tensor?...) {
    key = ""
    add(name, constants)
  }

  mutating func add(_ name: String, _ constants: Tensor?...) { add(name, constants) }

  /// Those of a hidden layer before this one's.
  mutating func prepend(_ other: WeightOrigin) {
    key = "(\(other.key))\(key)"
    constants += other.constants
  }

  mutating func add(_ name: String, _ tensors: [Tensor?]) {
    key += " " + name
    for case let tensor? in tensors {
      key += " \(tensor.place) \(tensor.shape) \(tensor.strides)"
      constants.append(tensor)
    }
  }
}
