import Layers
import TestSupport
import Testing
import Torch

/// A module with everything that a module may have.
private final class Everything: Module {
  let firstLayer: Linear
  let classMLP: [Linear]
  let absent: Linear?
  let present: LayerNorm?
  let gain = Parameter(.ones([2]))
  let runningMean = Buffer(.zeros([2]))
  let width = 2
  let drop = Dropout(0.5)

  init() {
    let generator = Generator(seed: 0)
    firstLayer = Linear(2, 3, generator: generator)
    classMLP = [
      Linear(3, 2, bias: nil, generator: generator), Linear(2, 2, generator: generator),
    ]
    absent = nil
    present = LayerNorm(2)
  }
}

@Suite @TorchActor struct ModuleTests {
  @Test func propertyNamesAreCheckpointKeys() {
    let module = Everything()
    #expect(
      module.namedParameters.map(\.name) == [
        "first_layer.weight", "first_layer.bias", "class_mlp.0.weight", "class_mlp.1.weight",
        "class_mlp.1.bias", "present.weight", "present.bias", "gain",
      ])
    #expect(module.namedBuffers.map(\.name) == ["running_mean"])
    #expect(module.namedModules.map(\.name).contains("class_mlp.1"))
    #expect(module.parameterCount == 27)
  }

  @Test func onlyMatricesDecay() {
    let decaying = Everything().namedParameters.filter(\.parameter.decays).map(\.name)
    #expect(decaying == ["first_layer.weight", "class_mlp.0.weight", "class_mlp.1.weight"])
    #expect(Affine(4).namedParameters.allSatisfy { !$0.parameter.decays })
  }

  @Test func frozenParametersHaveNoGradient() throws {
    let module = Everything()
    try module.freeze(["first_layer"])
    let (_, gradients) = valueAndGradient(at: module) { module in
      let x = module.classMLP[0](module.firstLayer(.ones([1, 2])))
      return (module.classMLP[1](x) * module.gain.tensor).sum()
    }
    #expect(gradients["first_layer.weight"] == nil)
    #expect(gradients["class_mlp.0.weight"] != nil)
    #expect(gradients["present.weight"]?.norm().item == 0)
    try module.unfreeze()
    #expect(module.namedParameters.allSatisfy { !$0.parameter.isFrozen })
    try module.freeze()
    let (value, none) = valueAndGradient(at: module) { $0.firstLayer(.ones([1, 2])).sum() }
    #expect(none.entries.isEmpty)
    #expect(none.norm == 0)
    #expect(value.shape == [])
  }

  @Test func freezingGoesByWholePaths() throws {
    final class Stack: Module {
      let blocks = (0..<11).map { _ in LayerNorm(1) }
    }
    let stack = Stack()
    try stack.freeze(["blocks.1", "blocks.3.bias"])
    #expect(
      stack.namedParameters.filter(\.parameter.isFrozen).map(\.name)
        == ["blocks.1.weight", "blocks.1.bias", "blocks.3.bias"])
    let error = #expect(throws: MingleError.self) { try stack.freeze(["blocks.2", "block.4"]) }
    #expect(error?.kind == .usage)
    #expect(error?.next == "did you mean 'blocks.4'?")
    #expect(throws: MingleError.self) { try stack.unfreeze(["blocks.11"]) }
    #expect(stack.namedParameters.filter(\.parameter.isFrozen).count == 3)
  }

  @Test func stateGoesOutAndIn() throws {
    let (source, target) = (Everything(), Everything())
    for (name, tensor) in source.state { tensor.copyInPlace(Fill.parameter(name, tensor.shape)) }
    let state = Dictionary(uniqueKeysWithValues: source.state.map { ($0.name, $0.tensor) })
    #expect(target.report(on: state).fits)
    try target.load(state)
    for (mine, theirs) in zip(target.state, source.state) {
      #expect(mine.tensor.array(of: Float.self) == theirs.tensor.array(of: Float.self))
    }
  }

  @Test func aStateThatDoesNotFitChangesNothing() {
    let module = Everything()
    let before = module.gain.tensor.array(of: Float.self)
    var state = Dictionary(uniqueKeysWithValues: module.state.map { ($0.name, $0.tensor + 1) })
    state["first_layer.wieght"] = state.removeValue(forKey: "first_layer.weight")
    state["gain"] = .zeros([5])
    let report = module.report(on: state)
    #expect(report.missing == ["first_layer.weight"])
    #expect(report.unused == ["first_layer.wieght"])
    #expect(report.mismatched.map(\.key) == ["gain"])
    let error = #expect(throws: MingleError.self) { try module.load(state, from: "file") }
    #expect(error?.description.contains("nearest 'first_layer.wieght'") == true)
    #expect(error?.description.contains("expected [2] float32, got [5] float32") == true)
    #expect(module.gain.tensor.array(of: Float.self) == before)
  }
}

@Suite @TorchActor struct LayerTests {
  @Test func dropoutKeepsTheMeanAndActsOnlyInTraining() {
    let dropout = Dropout(0.25)
    let x = Tensor.ones([100, 100])
    #expect(dropout(x).mean().item == 1)
    dropout.mode = .training(Generator(seed: 1))
    let y = dropout(x)
    #expect(abs(y.mean().item - 1) < 0.03)
    #expect(abs(y.equal(0).to(.float32).mean().item - 0.25) < 0.02)
  }

  @Test func dropPathDropsWholeSamples() {
    let dropPath = DropPath(0.5)
    dropPath.mode = .training(Generator(seed: 1))
    let y = dropPath(.ones([64, 3, 5]))
    let perSample = y.mean([1, 2]).array(of: Float.self)
    #expect(Set(perSample) == [0, 2])
  }

  @Test func layerScaleIsAGainUnderItsOwnName() throws {
    final class Branch: Module { let ls1 = LayerScale(2, start: 0.5) }
    let branch = Branch()
    #expect(branch.namedParameters.map(\.name) == ["ls1"])
    #expect(branch.namedParameters.map(\.parameter.decays) == [false])
    try branch.load(["ls1": Tensor([2, -3] as [Float], shape: [2])])
    let y = branch.ls1(Tensor.ones([1, 2, 2]))
    #expect(y.array(of: Float.self) == [2, -3, 2, -3])
    try branch.freeze(["ls1"])
    #expect(branch.ls1.gamma.isFrozen)
  }

  @Test func dropPathRates() {
    #expect(DropPathRule.linear.rates(0.2, depth: 3) == [0, 0.1, 0.2])
    #expect(DropPathRule.linear.rates(0.2, depth: 1) == [0])
    #expect(DropPathRule.constant.rates(0.2, depth: 3) == [0.2, 0.2, 0.2])
  }

  @Test func patchesAreCutRowByRow() {
    let embedding = PatchEmbedding(
      inputChannels: 1, dimension: 2, patch: (2, 3), weight: .ones, generator: Generator(seed: 0))
    let image = Tensor.range(4 * 6, dtype: .float32).reshaped([1, 1, 4, 6])
    let tokens = embedding(image)
    #expect(tokens.shape == [1, 4, 2])
    // Sums of the 2 x 3 patches of 0...23 in rows of 6.
    #expect(tokens.select(2, 0).array(of: Float.self) == [24, 42, 96, 114])
  }

  @Test func layerNormIsItsFormula() {
    let x = Tensor([1, 2, 3, 6] as [Float], shape: [1, 4])
    let y = LayerNorm(4)(x).array(of: Float.self)
    let deviation = Float(3.5).squareRoot()
    let distances: [Float] = [-2, -1, 0, 3]
    for (found, distance) in zip(y, distances) {
      #expect(abs(found - distance / deviation) < 1e-5)
    }
  }

  /// Initialisers of a weight [300, 200], and the standard deviation that each should have.
  nonisolated static let spreads: [(Initializer, Double)] = [
    (.normal(standardDeviation: 0.3), 0.3),
    (.truncatedNormal(standardDeviation: 0.02), 0.0175925),
    (.xavierUniform, 0.0632456),  // sqrt(2 / 500)
    (.lecunNormal, 0.0707107),  // sqrt(1 / 200)
    (.torchDefault, 0.0408248),  // sqrt(1 / 600)
  ]

  @Test(arguments: spreads)
  func initialisersHaveTheirSpread(_ initializer: Initializer, _ expected: Double) {
    let values = initializer([300, 200], Generator(seed: 4))
    let mean = values.mean().item
    let deviation = ((values - mean) * (values - mean)).mean().item.squareRoot()
    #expect(abs(mean) < 0.02 * expected)
    #expect(abs(deviation / expected - 1) < 0.02)
  }

  @Test func truncatedNormalsAreCut() {
    let values = Initializer.truncatedNormal(standardDeviation: 1)([500, 500], Generator(seed: 4))
    #expect(values.abs().max().item <= 2)
    #expect(values.abs().max().item > 1.98)
  }
}
