import CTorch

/// The norm at the start of a residual branch: `gain * n(x) + shift` over the last dimension, where n
/// normalises to zero mean and unit variance, or leaves x as it is.
package struct BranchNorm {
  package let gain: Tensor, shift: Tensor
  /// Added to the variance; nil without normalisation.
  package let epsilon: Double?

  package init(gain: Tensor, shift: Tensor, epsilon: Double?) {
    self.gain = gain
    self.shift = shift
    self.epsilon = epsilon
  }

  fileprivate var operand: CTNorm {
    CTNorm(
      gain: gain.pointer, shift: shift.pointer, normalizes: epsilon == nil ? 0 : 1,
      epsilon: epsilon ?? 0)
  }
}

/// A linear layer's weight [O, I] and bias [O].
package struct BranchLinear {
  package let weight: Tensor, bias: Tensor?

  package init(weight: Tensor, bias: Tensor?) {
    self.weight = weight
    self.bias = bias
  }
}

/// Residual branches as single functions with hand-written forward and backward passes, in float32 on
/// the CPU. Their derivations stand beside them in `CTorch/branches`.
package enum BranchKernels {
  /// Whether callers do without kernels; for tests, which compare.
  @TaskLocal package static var areOff = false

  /// Whether there are kernels for `x` with these parameters.
  package static func take(_ x: Tensor, _ parameters: [Tensor?]) -> Bool {
    // A recording needs the operators.
    guard !areOff, OperatorRecording.current == nil else { return false }
    let pointers = [x.pointer] + parameters.map { $0?.pointer }
    return withExtendedLifetime((x, parameters)) {
      ct_has_kernels(pointers, Int32(pointers.count)) != 0
    }
  }

  /// `x + factors * scale * second(activation(first(norm(x))))`: [B, ..., C] -> [B, ..., C].
  ///
  /// - Parameters:
  ///   - scale: [C], factors: [B]; 1 where nil.
  ///   - strassen: multiplies by Strassen's products.
  package static func channelMLP(
    _ x: Tensor, norm: BranchNorm, first: BranchLinear, activation: KernelActivation,
    second: BranchLinear, scale: Tensor?, factors: Tensor?, strassen: Bool = false
  ) -> Tensor {
    runKernel("channel MLP", (x, norm, first, second, scale, factors)) { y in
      ct_channel_mlp(
        x.pointer, norm.operand, first.weight.pointer, first.bias?.pointer, second.weight.pointer,
        second.bias?.pointer, scale?.pointer, factors?.pointer, activation.code,
        strassen ? 1 : 0, &y)
    }
  }

  /// `x + factors * second(activation(first(norm(x))))` over the tokens: [B, S, C] -> [B, S, C].
  package static func tokenMLP(
    _ x: Tensor, norm: BranchNorm, first: BranchLinear, activation: KernelActivation,
    second: BranchLinear, factors: Tensor?
  ) -> Tensor {
    runKernel("token MLP", (x, norm, first, second, factors)) { y in
      ct_token_mlp(
        x.pointer, norm.operand, first.weight.pointer, first.bias?.pointer, second.weight.pointer,
        second.bias?.pointer, factors?.pointer, activation.code, &y)
    }
  }

  /// `x + factors * scale * linear(norm(x))` over the tokens: [B, S, C] -> [B, S, C].
  package static func tokenLinear(
    _ x: Tensor, norm: BranchNorm, linear: BranchLinear, scale: Tensor?, factors: Tensor?
  ) -> Tensor {
    runKernel("token mixing", (x, norm, linear, scale, factors)) { y in
      ct_token_linear(
        x.pointer, norm.operand, linear.weight.pointer, linear.bias?.pointer, scale?.pointer,
        factors?.pointer, &y)
    }
  }

  /// `x + factors * second(u * gate(gateNorm(v)))` with `[u, v] = activation(first(norm(x)))`, the gate
  /// over the tokens: [B, S, C] -> [B, S, C]. `strassen` as in `channelMLP`, for the layers over channels.
  package static func gatedMLP(
    _ x: Tensor, norm: BranchNorm, first: BranchLinear, activation: KernelActivation,
    gateNorm: BranchNorm, gate: BranchLinear, second: BranchLinear, factors: Tensor?,
    strassen: Bool = false
  ) -> Tensor {
    runKernel("gated MLP", (x, norm, first, gateNorm, gate, second, factors)) { y in
      ct_gated_mlp(
        x.pointer, norm.operand, first.weight.pointer, first.bias?.pointer, gateNorm.operand,
        gate.weight.pointer, gate.bias?.pointer, second.weight.pointer, second.bias?.pointer,
        factors?.pointer, activation.code, strassen ? 1 : 0, &y)
    }
  }
}
