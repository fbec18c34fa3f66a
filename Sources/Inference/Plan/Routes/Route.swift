import Torch

/// One of the ways to compute a fused step of a plan. Which is the fastest depends on the processor and
/// on the sizes, so it is measured.
package enum Route: String, Codable, Sendable {
  /// One kernel for all of it.
  case fused
  /// The same, by Strassen's products.
  case strassen
  /// Of a layer over tokens: turned around, as a layer over channels.
  case turned
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

  /// Those for layers over tokens; what moves along a map is not turned.
  package static func ofColumns(
    _ precision: InferencePrecision, isDouble: Bool, isMoved: Bool
  ) -> [Route] {
    kernels(precision) + (isDouble ? [.split] : []) + (isMoved ? [] : [.turned])
  }

  /// Those for layers over channels, without products of bytes.
  package static func ofRows(_ precision: InferencePrecision, isDouble: Bool) -> [Route] {
    var routes = kernels(precision) + (isDouble ? [.split, .blas] : [.blas])
    if OneDNN.isThere {
      routes += [.oneDNN, .oneDNNPacked]
      if precision.others.products(on: .cpu) == .bfloat16 { routes.append(.oneDNNBFloat16) }
    }
    return routes
  }

  /// Those of one kernel: what multiplies pairs of bfloat16 has no room for sums.
  private static func kernels(_ precision: InferencePrecision) -> [Route] {
    precision.kernelFormat == .float32 ? [.fused, .strassen] : [.fused]
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

/// Layers over tokens as layers over channels, for one ``ColumnStep``: few tokens' worth of many channels
/// fill a kernel's panels better so.
struct TurnedColumns {
  private let step: ColumnStep
  private let mix: RowMix

  /// - Parameter mix: the step's layers over channels.
  init(_ step: ColumnStep, _ mix: RowMix) { (self.step, self.mix) = (step, mix) }

  /// The same layers as a step over channels; what stands around them is not in it.
  static func layers(of step: ColumnStep) -> RowStep {
    var origin = step.origin
    origin.add("turned")
    return RowStep(
      x: step.x, hidden: step.hidden, layer: step.layer, output: step.output, origin: origin)
  }

  /// [B, S, ...] -> [B, O, ...]
  func callAsFunction(_ x: Tensor, gate: Tensor?, residual: Tensor?, into y: Tensor) {
    let turned = step.multiplied(of: x).transposed(1, 2).contiguous()  // [B, C, S]
    let mixed = Tensor.empty([turned.shape[0], turned.shape[1], step.layer.weight.shape[0]])
    mix(turned, gate: nil, residual: nil, into: mixed)
    var result = mixed.transposed(1, 2).reshaped(y.shape)
    if let scale = step.resultScale { result = result * scale }
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
    if let (axis, offsets) = entry.moves { x = x.moved(axis == .height ? 2 : 3, by: offsets) }
    return x.flattened(from: 2)
  }
}

extension Tensor {
  /// Becomes `result * gate + residual`.
  fileprivate func take(_ result: Tensor, gate: Tensor?, residual: Tensor?) {
    let gated = gate.map { result * $0 } ?? result
    copyInPlace(residual.map { gated + $0 } ?? gated)
  }

  /// Each row along dimension 1 moved along another one by its own of the offsets, zeros coming in.
  fileprivate func moved(_ dimension: Int, by offsets: [Int]) -> Tensor {
    let result = Tensor.zeros(shape)
    var start = 0
    while start < offsets.count {
      let offset = offsets[start]
      let end = offsets[start...].firstIndex { $0 != offset } ?? offsets.count
      let kept = shape[dimension] - Int(offset.magnitude)
      if kept > 0 {
        let (from, to) = offset < 0 ? (-offset, 0) : (0, offset)
        result.narrowed(1, start..<end).narrowed(dimension, to..<to + kept)
          .copyInPlace(narrowed(1, start..<end).narrowed(dimension, from..<from + kept))
      }
      start = end
    }
    return result
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
