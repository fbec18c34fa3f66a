import Torch

// Residual branches `x + dropPath(scale(layer(norm(x))))`, which are most of what an all-MLP network
// does. Where kernels know the whole branch (`BranchKernels`) it is one function, unless a training run
// found its layers faster (`BranchRoutes`); else the layers are called one after the other, as they are
// while a summary asks each of them what it does.

/// A norm that a residual branch may begin with.
public protocol ResidualNorm: Module {
  func callAsFunction(_ x: Tensor) -> Tensor
}

/// One that kernels know.
private protocol KernelNorm {
  var branchNorm: BranchNorm { get }
}

extension LayerNorm: ResidualNorm, KernelNorm {
  fileprivate var branchNorm: BranchNorm {
    BranchNorm(gain: weight.tensor, shift: bias.tensor, epsilon: epsilon)
  }
}

extension Affine: ResidualNorm, KernelNorm {
  fileprivate var branchNorm: BranchNorm {
    BranchNorm(gain: alpha.tensor, shift: beta.tensor, epsilon: nil)
  }
}

extension Linear {
  var branchLinear: BranchLinear { BranchLinear(weight: weight.tensor, bias: bias?.tensor) }
}

extension Activation {
  var kernelActivation: KernelActivation {
    switch self {
    case .gelu: .gelu
    case .geluTanh: .geluTanh
    case .relu: .relu
    case .silu: .silu
    }
  }
}

extension MLP {
  /// `x + dropPath(scale(self(norm(x))))`: [B, ..., C] -> [B, ..., C].
  public func residual(
    _ norm: some ResidualNorm, _ x: Tensor, scale: LayerScale? = nil, _ dropPath: DropPath? = nil
  ) -> Tensor {
    let layers = { (x: Tensor, dropPath: DropPath?) in
      x + residualPart(self(norm(x)), scale, dropPath)
    }
    guard
      !drop.isActive, fits(x.shape[x.rank - 1]),
      let kernelNorm = kernelNorm(norm, x, [fc1, fc2], scale)
    else { return layers(x, dropPath) }
    let branch = Branch("channel MLP", x, [fc1, fc2], activation, [kernelNorm], scale)
    return branch.faster(dropPath, [.kernels, .strassen, .layers], layers) { x, factors, route in
      BranchKernels.channelMLP(
        x, norm: kernelNorm, first: fc1.branchLinear, activation: activation.kernelActivation,
        second: fc2.branchLinear, scale: scale?.gamma.tensor, factors: factors,
        strassen: route == .strassen)
    }
  }

  /// `x + dropPath(overRows(norm(x)))`: [B, S, C] -> [B, S, C].
  public func residualOverRows(
    _ norm: some ResidualNorm, _ x: Tensor, _ dropPath: DropPath? = nil
  ) -> Tensor {
    let layers = { (x: Tensor, dropPath: DropPath?) in
      x + residualPart(self.overRows(norm(x)), nil, dropPath)
    }
    guard
      !drop.isActive, x.rank == 3, fits(x.shape[1]),
      let kernelNorm = kernelNorm(norm, x, [fc1, fc2], nil)
    else { return layers(x, dropPath) }
    let branch = Branch("token MLP", x, [fc1, fc2], activation, [kernelNorm])
    return branch.faster(dropPath, [.kernels, .layers], layers) { x, factors, _ in
      BranchKernels.tokenMLP(
        x, norm: kernelNorm, first: fc1.branchLinear, activation: activation.kernelActivation,
        second: fc2.branchLinear, factors: factors)
    }
  }

  /// Whether it takes and gives vectors of `width` numbers.
  private func fits(_ width: Int) -> Bool {
    fc1.inputDimension == width && fc2.outputDimension == width
      && fc2.inputDimension == fc1.outputDimension
  }
}

extension Linear {
  /// `x + dropPath(scale(overRows(norm(x))))`: [B, S, C] -> [B, S, C].
  public func residualOverRows(
    _ norm: some ResidualNorm, _ x: Tensor, scale: LayerScale? = nil, _ dropPath: DropPath? = nil
  ) -> Tensor {
    let layers = { (x: Tensor, dropPath: DropPath?) in
      x + residualPart(self.overRows(norm(x)), scale, dropPath)
    }
    guard
      x.rank == 3, outputDimension == inputDimension, inputDimension == x.shape[1],
      let kernelNorm = kernelNorm(norm, x, [self], scale)
    else { return layers(x, dropPath) }
    let branch = Branch("token mixing", x, [self], nil, [kernelNorm], scale)
    return branch.faster(dropPath, [.kernels, .layers], layers) { x, factors, _ in
      BranchKernels.tokenLinear(
        x, norm: kernelNorm, linear: branchLinear, scale: scale?.gamma.tensor, factors: factors)
    }
  }
}

/// `x + dropPath(second(u * gate.overRows(gateNorm(v))))` for `[u, v] = activation(first(norm(x)))`:
/// [B, S, C] -> [B, S, C].
///
/// - Parameter layers: the same where no kernel does it.
package func gatedResidual(
  _ norm: some ResidualNorm, _ x: Tensor, first: Linear, activation: Activation,
  gateNorm: LayerNorm, gate: Linear, second: Linear, _ dropPath: DropPath?,
  layers: (Tensor, DropPath?) -> Tensor
) -> Tensor {
  guard x.rank == 3 else { return layers(x, dropPath) }
  let (tokens, channels, half) = (x.shape[1], x.shape[2], second.inputDimension)
  guard
    first.inputDimension == channels, first.outputDimension == 2 * half,
    gate.inputDimension == tokens, gate.outputDimension == tokens,
    second.outputDimension == channels,
    let norm = kernelNorm(norm, x, [first, gate, second], nil),
    let gateNorm = kernelNorm(gateNorm, x, [], nil, width: half)
  else { return layers(x, dropPath) }
  let branch = Branch("gated MLP", x, [first, gate, second], activation, [norm, gateNorm])
  return branch.faster(dropPath, [.kernels, .strassen, .layers], layers) { x, factors, route in
    BranchKernels.gatedMLP(
      x, norm: norm, first: first.branchLinear, activation: activation.kernelActivation,
      gateNorm: gateNorm, gate: gate.branchLinear, second: second.branchLinear, factors: factors,
      strassen: route == .strassen)
  }
}

/// A residual branch that can be computed in several ways.
private struct Branch {
  let x: Tensor
  let parameters: [Tensor]
  /// What decides how fast it is, but for the shape of `x`.
  private let name: String
  private let parts: String

  init(
    _ name: String, _ x: Tensor, _ layers: [Linear], _ activation: Activation?,
    _ norms: [BranchNorm], _ scale: LayerScale? = nil
  ) {
    self.name = name
    self.x = x
    parameters =
      layers.flatMap { [$0.weight.tensor, $0.bias?.tensor].compactMap(\.self) }
      + norms.flatMap { [$0.gain, $0.shift] } + [scale?.gamma.tensor].compactMap(\.self)
    let widths = layers.map { "\($0.outputDimension)" }.joined(separator: " ")
    let others: [String?] = [
      activation?.rawValue, norms[0].epsilon == nil ? nil : "norm", scale == nil ? nil : "scaled",
    ]
    parts = ([widths] + others.compactMap(\.self)).joined(separator: ", ")
  }

  /// The result by the route that trains fastest; without measured routes by the first, which is kernels.
  func faster(
    _ dropPath: DropPath?, _ routes: [BranchRoutes.Route], _ layers: (Tensor, DropPath?) -> Tensor,
    _ kernels: (_ x: Tensor, _ factors: Tensor?, BranchRoutes.Route) -> Tensor
  ) -> Tensor {
    let measured = BranchRoutes.current?.route(of: key, among: routes) { route in
      seconds { x in route == .layers ? layers(x, nil) : kernels(x, nil, route) }
    }
    let route = measured ?? routes[0]
    return route == .layers ? layers(x, dropPath) : kernels(x, dropPath?.factors(for: x), route)
  }

  /// So many samples at most tell how fast it is.
  private static let mostSamples = 8
  private var samples: Int { min(x.shape[0], Self.mostSamples) }

  private var key: String {
    let shape = ([samples] + x.shape[1...]).map(String.init).joined(separator: "x")
    return "\(name) \(shape), \(parts)"
  }

  /// How long a forward and a backward pass of some samples takes.
  private func seconds(_ run: (Tensor) -> Tensor) -> Double {
    let leaf = x.narrowed(0, 0..<samples).detached()
    leaf.setRequiresGradient(true)
    let cotangent = Tensor.ones(leaf.shape)
    let time = ContinuousClock().measure {
      withGradients {
        _ = gradients(
          of: [run(leaf)], cotangents: [cotangent], withRespectTo: [leaf] + parameters)
      }
    }
    return time / .seconds(1)
  }
}

/// The norm, of `width` channels (x's, unless given), as kernels take it, if they take the whole branch.
private func kernelNorm(
  _ norm: some ResidualNorm, _ x: Tensor, _ layers: [Linear], _ scale: LayerScale?,
  width: Int? = nil
) -> BranchNorm? {
  let channels = x.shape[x.rank - 1]
  guard Trace.current == nil, let norm = (norm as? any KernelNorm)?.branchNorm,
    norm.gain.count == width ?? channels, norm.shift.count == norm.gain.count,
    scale.map({ $0.gamma.tensor.count == channels }) ?? true
  else { return nil }
  var parameters: [Tensor?] = [norm.gain, norm.shift, scale?.gamma.tensor]
  for layer in layers { parameters += [layer.weight.tensor, layer.bias?.tensor] }
  return BranchKernels.take(x, parameters) ? norm : nil
}

private func residualPart(_ y: Tensor, _ scale: LayerScale?, _ dropPath: DropPath?) -> Tensor {
  let y = scale.map { $0(y) } ?? y
  return dropPath.map { $0(y) } ?? y
}
