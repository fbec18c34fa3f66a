import Torch

/// One of the ways to compute a fused step of a plan. Which is the fastest depends on the processor and
/// on the sizes, so it is measured.
package enum Route: String, Codable, Sendable {
  /// One kernel for all of it.
  case fused
  /// The same, by Strassen's products.
  case strassen
  /// Of a layer over tokens: one kernel that computes it turned around, as a layer over channels.
  case turned
  /// The same, by Strassen's products.
  case turnedStrassen = "turned-strassen"
  /// Of a convolution with kernels of 3x3: by minimal filtering, for squares of 2 x 2 results.
  case winogradOfTwo = "winograd-2x2"
  /// The same for squares of 4 x 4.
  case winogradOfFour = "winograd-4x4"
  /// A kernel for each of two layers, with the hidden numbers in memory between them.
  case split
  /// libtorch's operators, whose products are MKL's, Accelerate's or OpenBLAS's.
  case blas
  /// libtorch's operators with oneDNN's products.
  case oneDNN = "onednn"
  /// The same, of weights in oneDNN's own order.
  case oneDNNPacked = "onednn-packed"
  /// The same in bfloat16, added up in float32.
  case oneDNNBFloat16 = "onednn-bf16"

  /// Those of one kernel.
  static let kernels: [Route] = [
    .fused, .strassen, .turned, .turnedStrassen, .winogradOfTwo, .winogradOfFour,
  ]

  var isTurned: Bool { self == .turned || self == .turnedStrassen }

  /// As what its kernel multiplies, if not as the precision has it.
  var format: PackedWeight.Format? {
    switch self {
    case .strassen, .turnedStrassen: .strassen
    case .winogradOfTwo: .winograd(side: 2)
    case .winogradOfFour: .winograd(side: 4)
    default: nil
    }
  }

  /// Those for layers over tokens, without products of bytes.
  package static func ofColumns(
    _ precision: InferencePrecision, isDouble: Bool, isSquareOfThree: Bool = false
  ) -> [Route] {
    let squares: [Route] = [.winogradOfTwo, .winogradOfFour]
    return kernels(precision).filter { isSquareOfThree || !squares.contains($0) }
      + (isDouble ? [.split] : [])
  }

  /// Those for layers over channels, without products of bytes.
  package static func ofRows(_ precision: InferencePrecision, isDouble: Bool) -> [Route] {
    var routes = kernels(precision).filter { [.fused, .strassen].contains($0) }
    routes += isDouble ? [.split, .blas] : [.blas]
    if OneDNN.isThere {
      routes += [.oneDNN, .oneDNNPacked]
      if precision.others.products(on: .cpu) == .bfloat16 { routes.append(.oneDNNBFloat16) }
    }
    return routes
  }

  /// What multiplies pairs of bfloat16 has no room for sums.
  private static func kernels(_ precision: InferencePrecision) -> [Route] {
    kernels.filter { $0.format == nil || precision.kernelFormat == .float32 }
  }
}

/// Linear layers over the channels by libtorch's operators, for one ``RowStep``.
struct LibraryRows {
  private struct Layer {
    let activation: KernelActivation
    let product: @Sendable (Tensor) -> Tensor

    init(_ layer: PlannedLayer, _ route: Route) {
      activation = layer.activation
      let (weight, bias) = (layer.weight, layer.bias)
      product = OneDNN.product(weight, bias, route) ?? { x in x.linear(weight, bias) }
    }

    func callAsFunction(_ x: Tensor) -> Tensor { product(x).to(.float32).activated(activation) }
  }

  private let epsilon: Double?
  private let layers: [Layer]

  init(_ step: RowStep, _ route: Route) {
    epsilon = step.epsilon
    layers = ([step.hidden].compactMap(\.self) + [step.layer]).map { Layer($0, route) }
  }

  func callAsFunction(_ x: Tensor, gate: Tensor?, residual: Tensor?, into y: Tensor) {
    var result = epsilon.map { x.layerNorm(nil, nil, epsilon: $0) } ?? x
    for layer in layers { result = layer(result) }
    y.take(result, gate: gate, residual: residual)
  }
}

/// oneDNN's matrix products, where libtorch has them.
enum OneDNN {
  static let isThere = Operator.exists("mkldnn::_linear_pointwise")

  private static let linear = Operator("mkldnn::_linear_pointwise")
  private static let reordered = Operator("mkldnn::_reorder_linear_weight")

  /// `x weight^T + bias`; nil for a route that is not oneDNN's.
  static func product(
    _ weight: Tensor, _ bias: Tensor?, _ route: Route
  ) -> (@Sendable (Tensor) -> Tensor)? {
    var (weight, bias, dtype) = (weight.contiguous(), bias, DType.float32)
    switch route {
    case .oneDNN: break
    case .oneDNNPacked: weight = reordered(weight)
    case .oneDNNBFloat16:
      dtype = .bfloat16
      weight = reordered(weight.to(dtype))
      bias = bias?.to(dtype)
    default: return nil
    }
    return { [weight, bias, dtype] x in
      linear(x.to(dtype), weight, bias, "none", NoScalars(), "")
    }
  }
}

extension Tensor {
  /// Becomes `result * gate + residual`.
  fileprivate func take(_ result: Tensor, gate: Tensor?, residual: Tensor?) {
    let gated = gate.map { result * $0 } ?? result
    copyInPlace(residual.map { gated + $0 } ?? gated)
  }

  func activated(_ activation: KernelActivation) -> Tensor {
    switch activation {
    case .identity: self
    case .gelu: gelu()
    case .geluTanh: gelu(approximate: true)
    case .relu: relu()
    case .silu: silu()
    }
  }
}
