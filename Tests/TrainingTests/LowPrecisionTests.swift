import Layers
import Models
import TestSupport
import Testing
import Torch
import Training

/// Weights that keep their rounded values from one step to the next.
@Suite @TorchActor struct LowPrecisionTests {
  private func inLowPrecision<Result>(_ body: () -> Result) -> Result {
    withAutocast(.bfloat16, on: .cpu, body)
  }

  /// Losses, and weights after them, of a few steps.
  private func train(
    _ model: any Model, with configuration: OptimizerConfiguration, _ logits: () -> Tensor
  ) throws -> (losses: [Double], weights: [[Float]]) {
    let optimizer = try configuration.make(for: model)
    let trained = model.namedParameters
    var losses: [Double] = []
    for _ in 0..<4 {
      let (value, gradients) = valueAndGradient(of: trained) {
        let scores = inLowPrecision(logits).to(.float32)
        return (scores * scores).mean() + scores.flattened(from: 0).narrowed(0, 0..<1).sum()
      }
      losses.append(value.item)
      optimizer.step(gradients, scale: 0.5, learningRate: 1e-2, updating: nil)
    }
    return (losses, trained.map { $0.parameter.tensor.array(of: Float.self) })
  }

  @Test(
    arguments: ["mixer_s16_224", "gmlp_s16_224", "resmlp_12_224", "as_mlp_tiny_224"],
    [OptimizerConfiguration.adamW, .sgd, .lamb])
  func picturesGiveTheSameLossesToTheBit(
    _ name: String, _ configuration: OptimizerConfiguration
  ) throws {
    let entry = try ModelRegistry.entry(name)
    let settings = try #require(SmallModels.settings[entry.family])
    let results = try [false, true].map { keeps in
      let model = try entry.visionModel(settings: settings, generator: Generator(seed: 1))
      model.keepLowPrecisionWeights(keeps)
      for (_, parameter) in model.namedParameters where parameter.tensor.rank > 1 {
        parameter.tensor.detached().copyInPlace(
          .normal(parameter.tensor.shape, standardDeviation: 0.1, generator: Generator(seed: 2)))
      }
      let images = Tensor.normal([3, 3, 32, 48], generator: Generator(seed: 3))
      return try train(model, with: configuration) { model.logits(images) }
    }
    #expect(results[0].losses == results[1].losses)
    let sameWeights = results[0].weights == results[1].weights
    #expect(sameWeights)
    #expect(Set(results[0].losses).count == 4)
  }

  @Test func theOperandIsWhatAutocastRounds() {
    let generator = Generator(seed: 1)
    let x = Tensor.normal([5, 6], generator: generator)
    let (plain, keeping) = (
      Linear(6, 8, generator: Generator(seed: 2)), Linear(6, 8, generator: Generator(seed: 2))
    )
    keeping.keepLowPrecisionWeights()
    let results = [plain, keeping].map { layer in
      valueAndGradient(at: layer) { layer in inLowPrecision { layer(x) }.to(.float32).sum() }
    }
    #expect(results[0].value.item == results[1].value.item)
    for name in ["weight", "bias"] {
      let gradients = results.compactMap { $0.gradients[name] }
      #expect(gradients[1].dtype == .float32)
      #expect(gradients[0].array(of: Float.self) == gradients[1].array(of: Float.self))
    }
    #expect(keeping.weight.operand.dtype == .float32)  // outside of autocast
    #expect(plain.weight.lowPrecisionCopy == nil)
    #expect(keeping.weight.lowPrecisionCopy?.dtype == .bfloat16)
    keeping.weight.keepsLowPrecision = false
    #expect(keeping.weight.lowPrecisionCopy == nil)
  }

  @Test func theCopyFollowsTheWeights() throws {
    let layer = Linear(3, 2, generator: Generator(seed: 1))
    layer.keepLowPrecisionWeights()
    func expectCurrent(_ what: String, sourceLocation: SourceLocation = #_sourceLocation) {
      let operand = inLowPrecision { layer.weight.operand }.array(of: Float.self)
      let expected = layer.weight.tensor.detached().to(.bfloat16).array(of: Float.self)
      #expect(operand == expected, "\(what)", sourceLocation: sourceLocation)
    }
    expectCurrent("first")
    let before = layer.weight.tensor
    layer.weight.tensor.detached().fillInPlace(0.3)
    expectCurrent("operator")
    layer.weight.tensor.detached().withUnsafeMutableBytes { bytes in
      bytes.bindMemory(to: Float.self)[1] = 5
    }
    expectCurrent("memory")
    layer.weight.replace(.ones([2, 3]))
    expectCurrent("replaced")
    layer.weight.replace(before)
    expectCurrent("put back")
    try layer.load(["weight": .full([2, 3], 7), "bias": .zeros([2])])
    expectCurrent("loaded")
    layer.weight.replace(.ones([4, 5]))
    expectCurrent("of another shape")
  }

  @Test func anOptimizerWritesTheCopyItself() throws {
    let layer = Linear(3, 2, generator: Generator(seed: 1))
    layer.keepLowPrecisionWeights()
    let optimizer = try OptimizerConfiguration.adamW.make(for: layer)
    let (_, gradients) = valueAndGradient(at: layer) { layer in
      inLowPrecision { layer(.ones([4, 3])) }.to(.float32).sum()
    }
    optimizer.step(gradients, learningRate: 0.1)
    let copy = try #require(layer.weight.lowPrecisionCopy)
    let rounded = layer.weight.tensor.detached().to(.bfloat16)
    #expect(copy.array(of: Float.self) == rounded.array(of: Float.self))
    // Nothing is rounded anew in the next pass: a change behind everybody's back shows in it.
    copy.fillInPlace(9)
    #expect(inLowPrecision { layer.weight.operand }.array(of: Float.self) == [9, 9, 9, 9, 9, 9])
  }
}
