import Layers
import TestSupport
import Testing
import Torch

/// Branches as single functions against the layers called one after the other.
typealias Size = (tokens: Int, channels: Int, activation: Activation)

private let noise = Initializer.normal(standardDeviation: 0.3)

private func input(_ size: Size, _ generator: Generator) -> Tensor {
  .normal([3, size.tokens, size.channels], generator: generator)
}

/// One that draws the same each time it is made.
private func dropPath(_ rate: Double) -> DropPath {
  let path = DropPath(rate)
  path.mode = .training(Generator(seed: 9))
  return path
}

private func expectClose(_ a: Tensor, _ b: Tensor, tolerance: Double = 2e-5) {
  let (size, difference) = (b.abs().max().item, (a - b).abs().max().item)
  #expect(difference <= tolerance * (1 + size), "\(difference) of \(size) in \(a.shape)")
}

/// The ways to compute a branch by kernels; where it has no layers over channels, they are the same.
private let kernelRoutes = [BranchRoutes.Route.kernels, .strassen]

/// What `body` gives where branches take the route.
private func taking<Result>(_ route: BranchRoutes.Route, _ body: () throws -> Result) rethrows
  -> Result
{
  let routes = BranchRoutes(table: RouteTable(path: nil, always: route.rawValue))
  return try BranchRoutes.$current.withValue(routes, operation: body)
}

/// Values and all gradients of `branch` with kernels and without.
private func expectSame(_ parts: [any Module], _ x: Tensor, _ branch: (Tensor) -> Tensor) {
  let generator = Generator(seed: 8)
  let parameters = parts.flatMap(\.namedParameters).map(\.parameter.tensor)
  let leaf = x.detached()
  leaf.setRequiresGradient(true)
  for parameter in parameters where parameter.rank != 2 {
    withoutGradients {
      _ = parameter.addInPlace(.normal(parameter.shape, generator: generator) * 0.1)
    }
  }
  #expect(BranchKernels.take(leaf, parameters))
  let cotangent = Tensor.normal(x.shape, generator: generator)
  func run() -> [Tensor?] {
    let y = branch(leaf)
    let found = gradients(of: [y], cotangents: [cotangent], withRespectTo: [leaf] + parameters)
    return [y, withoutGradients { branch(leaf) }] + found
  }
  let expected = BranchKernels.$areOff.withValue(true) { run() }
  for route in kernelRoutes {
    for (a, b) in zip(taking(route, run), expected) {
      guard let a, let b else {
        Issue.record("a gradient is missing")
        continue
      }
      // The norm of a single channel is 0, times a thousand: of its gradients only rounding is left.
      expectClose(a, b, tolerance: x.shape[2] == 1 ? 2e-4 : 2e-5)
    }
  }
}

@Suite @TorchActor struct ResidualBranchTests {
  /// Strassen's products add columns to one another: what is computed behind the last of them, which a row
  /// without deviation makes large, must not get into their gradients.
  @Test(arguments: [56, 98, 120]) func gradientsBesideRowsWithoutDeviation(channels: Int) {
    let generator = Generator(seed: 14)
    func normal(_ shape: [Int]) -> Tensor { .normal(shape, generator: generator) }
    let x = normal([64, channels])
    x.narrowed(0, 7..<8).fillInPlace(10)
    let (w1, w2, dy) = (normal([24, channels]), normal([channels, 24]), normal([64, channels]))
    w1.setRequiresGradient(true)
    func gradient(strassen: Bool) -> Tensor? {
      let norm = BranchNorm(gain: .ones([channels]), shift: .zeros([channels]), epsilon: 1e-5)
      let y = BranchKernels.channelMLP(
        x, norm: norm, first: BranchLinear(weight: w1, bias: nil), activation: .identity,
        second: BranchLinear(weight: w2, bias: nil), scale: nil, factors: nil, strassen: strassen)
      return gradients(of: [y], cotangents: [dy], withRespectTo: [w1])[0]
    }
    guard let a = gradient(strassen: true), let b = gradient(strassen: false) else {
      Issue.record("a gradient is missing")
      return
    }
    expectClose(a, b, tolerance: 3e-6)
  }

  /// Sizes around those of the kernels' tiles and panels, with a different activation each.
  nonisolated static let sizes: [Size] = [
    (1, 7, .gelu), (7, 1, .relu), (13, 33, .silu), (33, 13, .geluTanh), (49, 50, .gelu),
    (14, 64, .gelu), (31, 97, .relu), (4, 300, .gelu), (129, 13, .silu), (230, 9, .gelu),
  ]

  @Test(arguments: sizes)
  func channelMLPs(_ size: Size) {
    let generator = Generator(seed: 1)
    let (x, c) = (input(size, generator), size.channels)
    let mlp = MLP(
      c, hidden: 2 * c + 3, activation: size.activation, bias: noise, generator: generator)
    let (norm, affine) = (LayerNorm(c), Affine(c))
    let scale = LayerScale(c, start: 0.5)
    expectSame([mlp, norm], x) { mlp.residual(norm, $0) }
    expectSame([mlp, affine, scale], x) { mlp.residual(affine, $0, scale: scale) }
    expectSame([mlp, norm], x) { x in
      mlp.residual(norm, x, dropPath(0.5))
    }
  }

  /// One row of a weight is one of Strassen's two tiles.
  @Test func oneHiddenNumber() {
    let generator = Generator(seed: 12)
    let (x, norm) = (input((5, 6, .gelu), generator), LayerNorm(6))
    let mlp = MLP(6, hidden: 1, bias: noise, generator: generator)
    expectSame([mlp, norm], x) { mlp.residual(norm, $0) }
  }

  @Test(arguments: sizes)
  func tokenMixing(_ size: Size) {
    let generator = Generator(seed: 2)
    let (x, c, s) = (input(size, generator), size.channels, size.tokens)
    let mlp = MLP(s, hidden: s + 5, activation: size.activation, bias: noise, generator: generator)
    let linear = Linear(s, s, bias: noise, generator: generator)
    let (norm, affine, scale) = (LayerNorm(c), Affine(c), LayerScale(c, start: 0.5))
    expectSame([mlp, norm], x) { mlp.residualOverRows(norm, $0) }
    expectSame([mlp, affine], x) { mlp.residualOverRows(affine, $0, dropPath(0.5)) }
    expectSame([linear, affine, scale], x) { x in
      linear.residualOverRows(affine, x, scale: scale, dropPath(0.5))
    }
    expectSame([linear, norm], x) { linear.residualOverRows(norm, $0) }
  }

  @Test(arguments: sizes)
  func gatedMLPs(_ size: Size) {
    let generator = Generator(seed: 3)
    let (x, c, s) = (input(size, generator), size.channels, size.tokens)
    let width = c + 3
    let first = Linear(c, 2 * width, bias: noise, generator: generator)
    let gate = Linear(s, s, bias: noise, generator: generator)
    let second = Linear(width, c, bias: noise, generator: generator)
    let (norm, gateNorm) = (LayerNorm(c), LayerNorm(width, epsilon: 1e-5))
    expectSame([first, gate, second, norm, gateNorm], x) { x in
      gatedResidual(
        norm, x, first: first, activation: size.activation, gateNorm: gateNorm, gate: gate,
        second: second, dropPath(0.5)
      ) { x, drop in
        let halves = size.activation(first(norm(x))).chunked(2, dimension: -1)
        let y = second(halves[0] * gate.overRows(gateNorm(halves[1])))
        return x + (drop?(y) ?? y)
      }
    }
  }

  /// Central differences of a sum with random weights, in a case where float32 shows 2 digits or more.
  @Test func finiteDifferences() {
    let generator = Generator(seed: 4)
    let x = input((5, 6, .gelu), generator)
    let mlp = MLP(6, hidden: 9, bias: noise, generator: generator)
    let tokens = MLP(5, hidden: 7, bias: noise, generator: generator)
    let norm = LayerNorm(6)
    let weights = Tensor.normal(x.shape, generator: generator)
    func loss(_ x: Tensor) -> Tensor {
      (mlp.residual(norm, tokens.residualOverRows(norm, x)) * weights).sum()
    }
    let (step, leaf) = (Float(5e-3), x.detached())
    leaf.setRequiresGradient(true)
    let gradient =
      gradients(of: [loss(leaf)], withRespectTo: [leaf])[0]?.array(of: Float.self) ?? []
    let values = x.array(of: Float.self)
    for index in stride(from: 0, to: values.count, by: 7) {
      func at(_ shift: Float) -> Float {
        var moved = values
        moved[index] += shift
        return withoutGradients { Float(loss(Tensor(moved, shape: x.shape)).item) }
      }
      let difference = (at(step) - at(-step)) / (2 * step)
      #expect(abs(difference - gradient[index]) < 0.02 * (1 + abs(difference)))
    }
  }

  /// On any number of threads each number is summed in the same order.
  @Test(
    arguments: [(13, 33, .gelu), (49, 50, .silu), (131, 130, .geluTanh)] as [Size], kernelRoutes)
  func threadsDoNotMatter(_ size: Size, _ route: BranchRoutes.Route) {
    let generator = Generator(seed: 7)
    let (c, s, width) = (size.channels, size.tokens, size.channels + 3)
    func linear(_ from: Int, _ to: Int) -> Linear {
      Linear(from, to, bias: noise, generator: generator)
    }
    let channels = MLP(c, hidden: 2 * c + 3, bias: noise, generator: generator)
    let tokens = MLP(s, hidden: s + 5, activation: .relu, bias: noise, generator: generator)
    let mixing = linear(s, s)
    let (first, gate, second) = (linear(c, 2 * width), linear(s, s), linear(width, c))
    let (norm, gateNorm, affine) = (LayerNorm(c), LayerNorm(width), Affine(c))
    let scale = LayerScale(c, start: 0.5)
    let parts: [any Module] = [
      channels, tokens, mixing, first, gate, second, norm, gateNorm, affine, scale,
    ]
    let leaf = input(size, generator)
    leaf.setRequiresGradient(true)
    let inputs = [leaf] + parts.flatMap(\.namedParameters).map(\.parameter.tensor)
    let cotangent = Tensor.normal(leaf.shape, generator: generator)
    #expect(BranchKernels.take(leaf, inputs))
    let results = onThreads {
      taking(route) {
        let x = channels.residual(norm, leaf, scale: scale, dropPath(0.5))
        let y = mixing.residualOverRows(affine, tokens.residualOverRows(norm, x))
        let z = gatedResidual(
          norm, y, first: first, activation: size.activation, gateNorm: gateNorm, gate: gate,
          second: second, nil
        ) { x, _ in x }
        let found = gradients(of: [z], cotangents: [cotangent], withRespectTo: inputs)
        return ([z] + found.compactMap(\.self)).map { $0.array(of: Float.self) }
      }
    }
    #expect(results[0].count == inputs.count + 1)
    for (index, numbers) in results[0].enumerated() {
      let isSame = results.allSatisfy { $0[index] == numbers }
      #expect(isSame, "\(index == 0 ? "values" : "gradient \(index - 1)")")
    }
  }

  @Test func frozenPartsHaveNoGradient() throws {
    let generator = Generator(seed: 5)
    let mlp = MLP(8, hidden: 16, generator: generator)
    let norm = LayerNorm(8)
    try mlp.freeze(["fc1"])
    let y = mlp.residual(norm, input((4, 8, .gelu), generator))
    let all = mlp.namedParameters.map(\.parameter.tensor)
    let found = gradients(of: [y.sum()], withRespectTo: all)
    #expect(found.map { $0 == nil } == [true, true, false, false])
  }

  @Test func gradientsCanBeDifferentiated() {
    let generator = Generator(seed: 6)
    let mlp = MLP(7, hidden: 9, generator: generator)
    let (norm, x) = (LayerNorm(7), input((3, 7, .gelu), generator))
    func second(off: Bool) -> Tensor {
      BranchKernels.$areOff.withValue(off) {
        x.setRequiresGradient(true)
        let y = (mlp.residual(norm, x) * mlp.residual(norm, x)).sum()
        let first = gradients(of: [y], withRespectTo: [x], differentiable: true)[0] ?? x
        return gradients(of: [(first * first).sum()], withRespectTo: [x])[0] ?? x
      }
    }
    expectClose(second(off: false), second(off: true), tolerance: 1e-4)
  }
}
