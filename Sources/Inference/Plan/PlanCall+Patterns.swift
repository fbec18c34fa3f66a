import Torch

/// What the recorded calls of some operators mean.
extension PlanCall {
  var isProduct: Bool { name == "aten::mul.Tensor" }

  /// A sum without a factor.
  var isSum: Bool {
    name == "aten::add.Tensor"
      && (isAbsent(2) || literal(2, as: Double.self) == 1 || literal(2, as: Int.self) == 1)
  }

  /// A first argument plus the product of two others.
  var isSumWithProduct: Bool { name == "aten::addcmul" && isAbsent(3) }

  /// Over some dimensions, which may stay with one position.
  struct Mean {
    let x: Int
    let axes: [Int]
    let keepsAxes: Bool
  }

  var mean: Mean? {
    guard name == "aten::mean.dim", let x = value(0), let axes = literal(1, as: [Int].self),
      !axes.isEmpty, isAbsent(3)
    else { return nil }
    return Mean(x: x, axes: axes, keepsAxes: literal(2, as: Bool.self) ?? false)
  }

  /// Of a call that only copied its argument into row-major order: the argument.
  var copied: Int? {
    let names = ["aten::reshape", "aten::flatten.using_ints", "aten::contiguous"]
    return names.contains(name) && call.kinds.first??.isView == false ? value(0) : nil
  }

  /// Whether its result consists of numbers of its arguments.
  var isMovement: Bool {
    let names = [
      "aten::roll", "aten::cat", "aten::narrow", "aten::select.int", "aten::reshape",
      "aten::flatten.using_ints", "aten::transpose.int", "aten::permute", "aten::contiguous",
      "aten::squeeze.dim", "aten::unsqueeze",
    ]
    return names.contains(name) && call.results.count == 1
      && call.arguments.allSatisfy { argument in
        switch argument {
        case .constant: false
        case .values(let items): items.allSatisfy { if case .value = $0 { true } else { false } }
        default: true
        }
      }
  }

  /// Of what only moves numbers: whether it wrote them to new memory.
  var copies: Bool { ["aten::roll", "aten::cat"].contains(name) || copied != nil }

  var isFloat32: Bool { call.kinds.first??.dtype == .float32 }

  /// Of a product with a number: the number.
  var factor: Double? {
    switch name {
    case "aten::mul.Scalar": literal(1, as: Double.self)
    case "aten::div.Scalar": literal(1, as: Double.self).map { 1 / $0 }
    default: nil
    }
  }

  var activation: KernelActivation? {
    switch name {
    case "aten::gelu": literal(1, as: String.self) == "tanh" ? .geluTanh : .gelu
    case "aten::relu": .relu
    case "aten::silu": .silu
    default: nil
    }
  }

  var layerNorm: (x: Int, width: Int, weight: Tensor?, bias: Tensor?, epsilon: Double)? {
    guard name == "aten::layer_norm", let x = value(0), let widths = literal(1, as: [Int].self),
      widths.count == 1, isAbsent(2) || constant(2) != nil, isAbsent(3) || constant(3) != nil,
      let epsilon = literal(4, as: Double.self)
    else { return nil }
    return (x, widths[0], constant(2), constant(3), epsilon)
  }

  var groupNorm: (x: Int, groups: Int, weight: Tensor?, bias: Tensor?, epsilon: Double)? {
    guard name == "aten::group_norm", let x = value(0), let groups = literal(1, as: Int.self),
      isAbsent(2) || constant(2) != nil, isAbsent(3) || constant(3) != nil,
      let epsilon = literal(4, as: Double.self)
    else { return nil }
    return (x, groups, constant(2), constant(3), epsilon)
  }

  /// A batch norm with fixed statistics, as what it does to each channel: `* scale + shift`, both [C].
  var fixedBatchNorm: (x: Int, scale: Tensor, shift: Tensor, constants: [Tensor?])? {
    guard name == "aten::batch_norm", let x = value(0), isAbsent(1) || constant(1) != nil,
      isAbsent(2) || constant(2) != nil, let mean = constant(3), let variance = constant(4),
      literal(5, as: Bool.self) == false, let epsilon = literal(7, as: Double.self)
    else { return nil }
    let deviation = (variance + epsilon).sqrt()
    let scale = (constant(1) ?? .ones(mean.shape)) / deviation
    let shift = -(mean * scale)
    return (
      x, scale, constant(2).map { shift + $0 } ?? shift,
      [constant(1), constant(2), mean, variance]
    )
  }

  /// Of queries, keys and values; the mask is a constant of float32, added to the scores.
  var attention: (q: Int, k: Int, v: Int, mask: Tensor?)? {
    guard name == "aten::scaled_dot_product_attention", let q = value(0), let k = value(1),
      let v = value(2), isAbsent(3) || constant(3) != nil,
      isAbsent(4) || literal(4, as: Double.self) == 0,
      isAbsent(5) || literal(5, as: Bool.self) == false, isAbsent(6),
      isAbsent(7) || literal(7, as: Bool.self) == false
    else { return nil }
    return (q, k, v, constant(3))
  }

  /// With a constant weight [O, I / groups, kH, kW], without dilation.
  struct Convolution {
    typealias Sides = (height: Int, width: Int)

    let x: Int
    let weight: Tensor
    let bias: Tensor?
    let stride, padding: Sides
    let groups: Int

    var kernel: Sides { (weight.shape[2], weight.shape[3]) }

    /// Whether it is a layer on each position by itself.
    var isPointwise: Bool {
      kernel == (1, 1) && stride == (1, 1) && padding == (0, 0) && groups == 1
    }

    /// Whether it is a layer on patches that lie side by side.
    var readsPatches: Bool {
      kernel == stride && kernel != (1, 1) && padding == (0, 0) && groups == 1
    }
  }

  var convolution: Convolution? {
    guard name == "aten::conv2d", let x = value(0), let weight = constant(1),
      isAbsent(2) || constant(2) != nil, let stride = sides(3), let padding = sides(4),
      literal(5, as: [Int].self) == [1, 1], let groups = literal(6, as: Int.self)
    else { return nil }
    return Convolution(
      x: x, weight: weight, bias: constant(2), stride: stride, padding: padding, groups: groups)
  }

  /// The largest numbers under windows.
  var maxPool:
    (x: Int, window: Convolution.Sides, stride: Convolution.Sides, padding: Convolution.Sides)?
  {
    guard name == "aten::max_pool2d", let x = value(0), let window = sides(1),
      let stride = sides(2), let padding = sides(3),
      isAbsent(4) || literal(4, as: [Int].self) == [1, 1],
      isAbsent(5) || literal(5, as: Bool.self) == false
    else { return nil }
    return (x, window, stride, padding)
  }

  /// Two numbers, along height and width.
  private func sides(_ index: Int) -> Convolution.Sides? {
    guard let numbers = literal(index, as: [Int].self), numbers.count == 2 else { return nil }
    return (numbers[0], numbers[1])
  }
}

extension OperatorRecording.Call {
  /// Swift code that makes `result` of `inputs`.
  static func custom(
    _ run: @escaping @Sendable ([Tensor]) -> [Tensor], _ inputs: [Int], _ result: Int,
    _ shape: [Int], isView: Bool, tag: (any Sendable)? = nil
  ) -> OperatorRecording.Call {
    OperatorRecording.Call(
      operation: .custom(run, tag: tag), arguments: inputs.map { .value($0) }, results: [result],
      kinds: [OperatorRecording.ValueKind(shape: shape, dtype: .float32, isView: isView)])
  }
}

extension Tensor {
  /// One number for each of `width` channels, or one for all, without other dimensions: [C] or [1].
  func vector(_ width: Int) -> Tensor? {
    guard count == 1 || (count == width && rank > 0 && shape[rank - 1] == width) else { return nil }
    return reshaped([count])
  }
}
