import Testing
import Torch

/// Kernels that multiply bfloat16, against float64 with factors rounded to it. Whole numbers make every
/// sum exact, so that nothing but a wrong rounding or a wrong place makes a difference; many of them lie
/// in the middle of two numbers of bfloat16.
@Suite struct BFloat16KernelTests {
  private let generator = Generator(seed: 11)

  private func normal(_ shape: [Int], scale: Double = 1) -> Tensor {
    .normal(shape, standardDeviation: scale, generator: generator)
  }

  private func whole(_ shape: [Int], scale: Double) -> Tensor {
    normal(shape, scale: scale).to(.int64).to(.float32)
  }

  private func rounded(_ x: Tensor) -> Tensor { x.to(.float32).to(.bfloat16).to(.float64) }

  private func layer(_ x: Tensor, _ weight: Tensor, _ bias: Tensor) -> Tensor {
    rounded(x).linear(rounded(weight), bias.to(.float64))
  }

  private func tokenLayer(_ x: Tensor, _ weight: Tensor, _ bias: Tensor) -> Tensor {
    rounded(x).rowLinear(rounded(weight), bias.to(.float64))
  }

  private func difference(_ a: Tensor, _ b: Tensor) -> Double {
    (a - b).abs().max().item / max(1, b.abs().max().item)
  }

  /// Of Euclidean norms: float32's errors turn the rounding of a few factors around.
  private func distance(_ a: Tensor, _ b: Tensor) -> Double { (a - b).norm().item / b.norm().item }

  @Test(arguments: KernelTests.sizes)
  func channelMixing(rows: Int, depth: Int, hidden: Int, results: Int) {
    let x = whole([rows, depth + 3], scale: 300).narrowed(1, 0..<depth)
    let first = (whole([hidden, depth], scale: 2), whole([hidden], scale: 300))
    let weight = whole([results, hidden > 0 ? hidden : depth], scale: 2)
    let bias = whole([results], scale: 300)
    let (gate, residual) = (whole([rows, results], scale: 2), whole([rows, results], scale: 300))
    let mix = RowMix(
      epsilon: nil, hidden: hidden > 0 ? (first.0, first.1, .relu) : nil, weight: weight,
      bias: bias, activation: .relu, format: .bfloat16)
    let y = Tensor.full([rows, results], .nan)
    mix(x, gate: gate, residual: residual, into: y)
    let between = hidden > 0 ? layer(x, first.0, first.1).relu() : x
    #expect(difference(y, layer(between, weight, bias).relu() * gate + residual) < 1e-6)
  }

  @Test(arguments: KernelTests.columnSizes, [false, true])
  func tokenMixing(
    _ size: (tokens: Int, hidden: Int, results: Int, channels: Int), isTurned: Bool
  ) {
    let (tokens, hidden, results, channels) = size
    for batch in [1, 3] {
      let x = whole([batch, tokens, channels], scale: 100)
      let affine = (whole([channels], scale: 2), whole([channels], scale: 100))
      let first = (whole([hidden, tokens], scale: 2), whole([hidden], scale: 300))
      let weight = whole([results, hidden > 0 ? hidden : tokens], scale: 2)
      let (bias, scale) = (whole([results], scale: 300), whole([channels], scale: 2))
      let gate = whole([batch, results, channels], scale: 2)
      let residual = whole([batch, results, channels], scale: 300)
      let mix = ColumnMix(
        normalization: .none, affine: affine, hidden: hidden > 0 ? (first.0, first.1, .relu) : nil,
        weight: weight, bias: bias, activation: .relu, resultScale: scale, format: .bfloat16,
        isTurned: isTurned)
      let y = Tensor.full([batch, results, channels], .nan)
      mix(x, gate: gate, residual: residual, into: y)
      var expected = x * affine.0 + affine.1
      if hidden > 0 { expected = tokenLayer(expected, first.0, first.1).relu() }
      expected = tokenLayer(expected, weight, bias).relu() * scale * gate + residual
      #expect(difference(y, expected) < 1e-6)
    }
  }

  @Test(arguments: KernelTests.sizes)
  func channelMixingOfFractions(rows: Int, depth: Int, hidden: Int, results: Int) {
    let x = normal([rows, depth], scale: 3)
    let first = (normal([hidden, depth], scale: 0.3), normal([hidden]))
    let weight = normal([results, hidden > 0 ? hidden : depth], scale: 0.3)
    let bias = normal([results])
    for epsilon in [nil, 1e-5] {
      let mix = RowMix(
        epsilon: epsilon, hidden: hidden > 0 ? (first.0, first.1, .gelu) : nil, weight: weight,
        bias: bias, activation: .silu, format: .bfloat16)
      let y = Tensor.full([rows, results], .nan)
      mix(x, gate: nil, residual: nil, into: y)
      var between = epsilon.map { x.layerNorm(nil, nil, epsilon: $0) } ?? x
      if hidden > 0 { between = layer(between, first.0, first.1).gelu() }
      let expected = layer(between, weight, bias).silu()
      #expect(distance(y, expected) < (epsilon == nil && hidden == 0 ? 1e-5 : 5e-4))
    }
  }

  @Test(arguments: KernelTests.columnSizes, [false, true])
  func tokenMixingOfFractions(
    _ size: (tokens: Int, hidden: Int, results: Int, channels: Int), isTurned: Bool
  ) {
    let (tokens, hidden, results, channels) = size
    let x = normal([3, tokens, channels], scale: 2)
    let first = (normal([hidden, tokens], scale: 0.3), normal([hidden]))
    let weight = normal([results, hidden > 0 ? hidden : tokens], scale: 0.3)
    let bias = normal([results])
    for normalization in [ColumnMix.Normalization.none, .rows(epsilon: 1e-6)] {
      let mix = ColumnMix(
        normalization: normalization, affine: nil,
        hidden: hidden > 0 ? (first.0, first.1, .gelu) : nil, weight: weight, bias: bias,
        activation: .silu, resultScale: nil, format: .bfloat16, isTurned: isTurned)
      let y = Tensor.full([3, results, channels], .nan)
      mix(x, gate: nil, residual: nil, into: y)
      let isPlain = normalization == .none && hidden == 0
      var between = normalization == .none ? x : x.layerNorm(nil, nil, epsilon: 1e-6)
      if hidden > 0 { between = tokenLayer(between, first.0, first.1).gelu() }
      let expected = tokenLayer(between, weight, bias).silu()
      #expect(distance(y, expected) < (isPlain ? 1e-5 : 5e-4))
    }
  }
}
