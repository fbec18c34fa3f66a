import Layers
import Testing
import Torch
import Training

@Suite @TorchActor struct AveragedWeightsTests {
  private func setBias(_ model: SmallNetwork, _ value: Double) {
    model.fc2.bias?.tensor.detached().fillInPlace(value)
  }

  private func bias(_ model: SmallNetwork) -> Double {
    model.fc2.bias?.tensor.select(0, 0).item ?? .nan
  }

  private func averagedBias(_ averages: AveragedWeights, _ model: SmallNetwork) -> Double {
    averages.withAveragedWeights { bias(model) }
  }

  @Test func theFormula() throws {
    let model = try SmallNetwork()
    setBias(model, 1)
    let averages = try AveragedWeights(of: model, decay: 0.75, warmsUp: false)
    var expected = 1.0
    for value in [3.0, -2, 5] {
      setBias(model, value)
      averages.update()
      expected = 0.75 * expected + 0.25 * value
      #expect(abs(averagedBias(averages, model) - expected) < 1e-6)
      #expect(bias(model) == value)
    }
  }

  @Test func warmUpForgetsTheStartSoon() throws {
    let model = try SmallNetwork()
    setBias(model, 1)
    let averages = try AveragedWeights(of: model, decay: 0.15)
    setBias(model, 2)
    averages.update()  // decay 1/10
    #expect(abs(averagedBias(averages, model) - 1.9) < 1e-6)
    setBias(model, 4)
    averages.update()  // 2/11 would be more than 0.15
    #expect(abs(averagedBias(averages, model) - (0.15 * 1.9 + 0.85 * 4)) < 1e-6)
  }

  @Test func buffersAreCopied() throws {
    let model = try SmallNetwork()
    let averages = try AveragedWeights(of: model, decay: 0.9)
    model.seen.tensor.fillInPlace(7)
    #expect(averages.withAveragedWeights { model.seen.tensor.item } == 0)
    averages.update()
    #expect(averages.withAveragedWeights { model.seen.tensor.item } == 7)
    model.seen.tensor.fillInPlace(8)
    #expect(averages.withAveragedWeights { model.seen.tensor.item } == 7)
    #expect(model.seen.tensor.item == 8)
  }

  @Test func theWeightsComeBackAlsoAfterAnError() throws {
    struct Interruption: Error {}
    let model = try SmallNetwork()
    try model.freeze(["fc1"])
    let averages = try AveragedWeights(of: model, decay: 0.9)
    setBias(model, 5)
    let before = model.bits
    #expect(throws: Interruption.self) {
      try averages.withAveragedWeights {
        #expect(model.bits != before)
        throw Interruption()
      }
    }
    #expect(model.bits == before)
    #expect(model.namedParameters.map(\.parameter.isFrozen) == [true, true, false, false])
    #expect(model.fc2.weight.tensor.requiresGradient)
  }

  @Test func trainingGoesOnAfterwards() throws {
    let model = try SmallNetwork()
    let optimizer = try OptimizerConfiguration.adamW.make(for: model)
    let averages = try AveragedWeights(of: model, decay: 0.9)
    optimizer.step(model.gradients(0).gradients, learningRate: 0.1)
    averages.update()
    let average = averages.withAveragedWeights { model.bits }
    let before = model.bits
    optimizer.step(model.gradients(1).gradients, learningRate: 0.1)
    #expect(model.bits != before)
    #expect(averages.withAveragedWeights { model.bits } == average)
  }

  @Test func aRestoredAverageIsEqualToTheBit() throws {
    let model = try SmallNetwork()
    let averages = try AveragedWeights(of: model, decay: 0.9)
    for value in [1.0, 2] {
      setBias(model, value)
      averages.update()
    }
    let second = try AveragedWeights(of: model, decay: 0.9)
    try second.restore(saved(averages.state))
    #expect(second.updateCount == 2)
    for average in [averages, second] {
      setBias(model, 0.3)
      average.update()
    }
    let bits = averages.withAveragedWeights { model.bits }
    #expect(second.withAveragedWeights { model.bits } == bits)

    var bad = saved(averages.state)
    bad["average.seen"] = nil
    #expect(mingleError { try second.restore(bad) }?.what.contains("average.seen") == true)
    #expect(throws: MingleError.self) { try AveragedWeights(of: model, decay: 1) }
  }
}
