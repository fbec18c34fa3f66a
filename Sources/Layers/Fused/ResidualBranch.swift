import Torch

// Residual branches `x + dropPath(scale(layer(norm(x))))`, which are most of what an all-MLP network
// does. Where kernels know the whole branch (`BranchKernels`) it is one function; else the layers are
// called one after the other, as they are while a summary asks each of them what it does.

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
    guard
      !drop.isActive, fits(x.shape[x.rank - 1]), let norm = kernelNorm(norm, x, [fc1, fc2], scale)
    else { return x + residualPart(self(norm(x)), scale, dropPath) }
    return BranchKernels.channelMLP(
      x, norm: norm, first: fc1.branchLinear, activation: activation.kernelActivation,
      second: fc2.branchLinear, scale: scale?.gamma.tensor, factors: dropPath?.factors(for: x))
  }

  /// `x + dropPath(overRows(norm(x)))`: [B, S, C] -> [B, S, C].
  public func residualOverRows(
    _ norm: some ResidualNorm, _ x: Tensor, _ dropPath: DropPath? = nil
  ) -> Tensor {
    guard
      !drop.isActive, x.rank == 3, fits(x.shape[1]),
      let norm = kernelNorm(norm, x, [fc1, fc2], nil)
    else { return x + residualPart(overRows(norm(x)), nil, dropPath) }
    return BranchKernels.tokenMLP(
      x, norm: norm, first: fc1.branchLinear, activation: activation.kernelActivation,
      second: fc2.branchLinear, factors: dropPath?.factors(for: x))
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
    guard
      x.rank == 3, outputDimension == inputDimension, inputDimension == x.shape[1],
      let norm = kernelNorm(norm, x, [self], scale)
    else { return x + residualPart(overRows(norm(x)), scale, dropPath) }
    return BranchKernels.tokenLinear(
      x, norm: norm, linear: branchLinear, scale: scale?.gamma.tensor,
      factors: dropPath?.factors(for: x))
  }
}

/// `x + dropPath(second(u * gate.overRows(gateNorm(v))))` for `[u, v] = activation(first(norm(x)))`, if
/// there is a kernel for it: [B, S, C] -> [B, S, C].
package func gatedResidual(
  _ norm: some ResidualNorm, _ x: Tensor, first: Linear, activation: Activation,
  gateNorm: LayerNorm, gate: Linear, second: Linear, _ dropPath: DropPath
) -> Tensor? {
  guard x.rank == 3 else { return nil }
  let (tokens, channels, half) = (x.shape[1], x.shape[2], second.inputDimension)
  guard
    first.inputDimension == channels, first.outputDimension == 2 * half,
    gate.inputDimension == tokens, gate.outputDimension == tokens,
    second.outputDimension == channels,
    let norm = kernelNorm(norm, x, [first, gate, second], nil),
    let gateNorm = kernelNorm(gateNorm, x, [], nil, width: half)
  else { return nil }
  return BranchKernels.gatedMLP(
    x, norm: norm, first: first.branchLinear, activation: activation.kernelActivation,
    gateNorm: gateNorm, gate: gate.branchLinear, second: second.branchLinear,
    factors: dropPath.factors(for: x))
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
