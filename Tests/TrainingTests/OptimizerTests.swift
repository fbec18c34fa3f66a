import Foundation
import Layers
import TestSupport
import Testing
import Torch
import Training

@Suite @TorchActor struct OptimizerTests {
  nonisolated static let configurations: [String: OptimizerConfiguration] = [
    "sgd": .sgd.with { $0.momentum = 0 },
    "sgd_momentum": .sgd.with { $0.weightDecay = 0.1 },
    "sgd_nesterov": .sgd.with {
      ($0.momentum, $0.nesterov, $0.weightDecay) = (0.8, true, 0.1)
    },
    "sgd_clipped": .sgd,
    "adamw": .adamW.with { $0.weightDecay = 0.1 },
    "adamw_betas": .adamW.with {
      ($0.beta1, $0.beta2, $0.epsilon, $0.weightDecay) = (0.8, 0.95, 1e-3, 0.3)
    },
    "lamb": .lamb.with { $0.weightDecay = 0.1 },
  ]

  private func rate(_ step: Int) -> Double { 0.02 * Double(1 + step) }

  @Test(arguments: configurations.keys.sorted())
  func eightStepsAreTheReferences(_ name: String) throws {
    let reference = try #require(Reference.load().optimizers[name])
    let configuration = try #require(Self.configurations[name])
    let model = try SmallNetwork()
    let optimizer = try configuration.make(for: model)
    for (step, loss) in reference.losses.enumerated() {
      let (value, gradients) = model.gradients(step)
      #expect(abs(value.item - loss) < 2e-5, "loss of step \(step)")
      if name == "sgd_clipped" { gradients.clip(toNorm: 0.25) }
      optimizer.step(gradients, learningRate: rate(step))
    }
    for (key, parameter) in model.namedParameters {
      let values = parameter.tensor.array(of: Double.self)
      #expect(areClose(values, try #require(reference.parameters[key]), 2e-5), "\(key)")
    }
  }

  @Test func everyReferenceIsChecked() throws {
    #expect(try Set(Reference.load().optimizers.keys) == Set(Self.configurations.keys))
  }

  @Test(arguments: configurations.keys.sorted())
  func aRestoredRunIsEqualToTheBit(_ name: String) throws {
    let configuration = try #require(Self.configurations[name])
    let model = try SmallNetwork()
    let optimizer = try configuration.make(for: model)
    for step in 0..<4 { optimizer.step(model.gradients(step).gradients, learningRate: rate(step)) }
    let weights = saved(model.state)
    let state = saved(optimizer.state)
    for step in 4..<8 { optimizer.step(model.gradients(step).gradients, learningRate: rate(step)) }

    let resumed = try SmallNetwork()
    try resumed.load(weights)
    let second = try configuration.make(for: resumed)
    try second.restore(state)
    for step in 4..<8 { second.step(resumed.gradients(step).gradients, learningRate: rate(step)) }
    #expect(resumed.bits == model.bits)
    #expect(second.state.map(\.name) == optimizer.state.map(\.name))
    for (a, b) in zip(second.state, optimizer.state) {
      #expect(a.tensor.array(of: Double.self) == b.tensor.array(of: Double.self), "\(a.name)")
    }
  }

  @Test(arguments: OptimizerConfiguration.Name.allCases)
  func frozenParametersAndGradientsStayAsTheyAre(_ name: OptimizerConfiguration.Name) throws {
    let model = try SmallNetwork()
    try model.freeze(["fc1.weight"])
    let optimizer = try OptimizerConfiguration(name).make(for: model)
    #expect(!optimizer.state.contains { $0.name.hasSuffix("fc1.weight") })
    let gradients = model.gradients(0).gradients
    let before = gradients.entries.map { $0.gradient.array(of: Float.self) }
    try model.freeze(["fc2.bias"])
    let weights = model.bits
    optimizer.step(gradients, learningRate: 0.1)
    let names = model.namedParameters.map(\.name)
    let changed = zip(names, zip(weights, model.bits)).filter { $1.0 != $1.1 }.map(\.0)
    #expect(changed == ["fc1.bias", "fc2.weight"])
    #expect(gradients.entries.map { $0.gradient.array(of: Float.self) } == before)
  }

  @Test(arguments: OptimizerConfiguration.Name.allCases)
  func weightDecayIsForMatricesOnly(_ name: OptimizerConfiguration.Name) throws {
    func weights(decay: Double) throws -> [[UInt32]] {
      let model = try SmallNetwork()
      let optimizer = try OptimizerConfiguration(name).with { $0.weightDecay = decay }
        .make(for: model)
      optimizer.step(model.gradients(0).gradients, learningRate: 0.1)
      return model.bits
    }
    let isEqual = try zip(weights(decay: 0), weights(decay: 0.5)).map { $0 == $1 }
    #expect(isEqual == [false, true, false, true])  // weight, bias, weight, bias
  }

  @Test func lambTakesZeroWeightsAsTheyCome() throws {
    let model = try SmallNetwork()
    model.fc2.weight.tensor.detached().zeroInPlace()
    let optimizer = try OptimizerConfiguration.lamb.make(for: model)
    optimizer.step(model.gradients(0).gradients, learningRate: 0.1)
    // With both moments of one gradient, Adam's direction is its sign: the step is 0.1.
    let weights = model.fc2.weight.tensor.abs()
    #expect(abs(weights.mean().item - 0.1) < 1e-4)
    // fc1 had no gradient, so only decay moves it: by its own norm times the rate.
    let fc1 = model.fc1.weight.tensor.array(of: Double.self)
    let start = Fill.raw("fc1.weight", [8, 6]).array(of: Double.self)
    #expect(areClose(fc1, start.map { 0.9 * $0 }, 1e-6))
  }

  @Test func lambWithoutDecayIsAdam() throws {
    func weights(_ configuration: OptimizerConfiguration) throws -> [Double] {
      let model = try SmallNetwork()
      let optimizer = try configuration.with { ($0.weightDecay, $0.epsilon) = (0, 1e-6) }
        .make(for: model)
      for step in 0..<3 { optimizer.step(model.gradients(step).gradients, learningRate: 0.1) }
      return model.namedParameters.flatMap { $0.parameter.tensor.array(of: Double.self) }
    }
    #expect(try areClose(weights(.lamb), weights(.adamW), 1e-5))
  }

  @Test func aStateThatDoesNotFitIsRefusedWhole() throws {
    let model = try SmallNetwork()
    let optimizer = try OptimizerConfiguration.adamW.make(for: model)
    optimizer.step(model.gradients(0).gradients, learningRate: 0.1)
    let good = saved(optimizer.state)
    let key = "first_moment.fc1.bias"
    let bad: [(change: (inout [String: Tensor]) -> Void, mentions: String)] = [
      ({ $0[key] = nil }, "lacks '\(key)'"),
      ({ $0[key] = .zeros([9]) }, "expected [8] float32, got [9] float32"),
      ({ $0[key] = .zeros([8], dtype: .float64) }, "got [8] float64"),
      ({ $0["momentum.fc1.bias"] = .zeros([8]) }, "unknown 'momentum.fc1.bias'"),
      ({ $0["step"] = Tensor([-1], shape: []) }, "got -1"),
      ({ $0["step"] = Tensor([Int.max], shape: []) }, "number of steps"),
    ]
    for (change, mentions) in bad {
      var tensors = good.mapValues { $0.dtype.isFloatingPoint ? $0 + 1 : $0 }
      change(&tensors)
      let error = mingleError { try optimizer.restore(tensors) }
      #expect(error?.description.contains(mentions) == true, "\(mentions): \(error as Any)")
      #expect(error?.kind == .badData)
    }
    for (name, tensor) in optimizer.state {
      #expect(tensor.array(of: Double.self) == good[name]?.array(of: Double.self), "\(name)")
    }
  }

  @Test func impossibleSettingsAreErrors() throws {
    let model = try SmallNetwork()
    let bad: [(OptimizerConfiguration, String)] = [
      (.sgd.with { $0.momentum = 1 }, "momentum"),
      (.sgd.with { ($0.momentum, $0.nesterov) = (0, true) }, "nesterov"),
      (.adamW.with { $0.beta1 = -0.1 }, "beta1"),
      (.adamW.with { $0.beta2 = .nan }, "beta2"),
      (.lamb.with { $0.epsilon = 0 }, "epsilon"),
      (.lamb.with { $0.weightDecay = .infinity }, "weight_decay"),
    ]
    for (configuration, field) in bad {
      let error = mingleError { _ = try configuration.make(for: model) }
      #expect(error?.what.contains(field) == true)
    }
    try model.freeze()
    #expect(mingleError { _ = try OptimizerConfiguration.sgd.make(for: model) }?.kind == .usage)
  }

  @Test func whatIsNotGivenIsTheNamedOptimizersDefault() throws {
    let json = #"{"name": "lamb", "weight_decay": 0.2}"#
    let configuration = try JSONDecoder().decode(
      OptimizerConfiguration.self, from: Data(json.utf8))
    #expect(configuration == .lamb.with { $0.weightDecay = 0.2 })
    #expect(configuration.epsilon == 1e-6)
    let again = try JSONDecoder().decode(
      OptimizerConfiguration.self, from: JSONEncoder().encode(configuration))
    #expect(again == configuration)
  }

  @Test(arguments: OptimizerConfiguration.Name.allCases)
  func nothingLeaks(_ name: OptimizerConfiguration.Name) throws {
    let model = try SmallNetwork()
    let optimizer = try OptimizerConfiguration(name).make(for: model)
    // Other tests' loaders make tensors on threads of their own; a leak shows every time.
    let isTight = (0..<20).contains { step in
      let before = Engine.liveTensorCount
      optimizer.step(model.gradients(step).gradients, learningRate: 0.1)
      return Engine.liveTensorCount == before
    }
    #expect(isTight)
  }
}

@Suite @TorchActor struct GradientTests {
  /// Its gradients share memory in libtorch: both are the cotangent.
  final class Sum: Module {
    let a = Parameter(.ones([2]))
    let b = Parameter(.ones([2]))
  }

  @Test func gradientsDoNotShareMemory() {
    let (_, gradients) = valueAndGradient(at: Sum()) { ($0.a.tensor + $0.b.tensor).sum() }
    gradients.multiplyInPlace(3)
    #expect(gradients["a"]?.array(of: Float.self) == [3, 3])
    #expect(gradients["b"]?.array(of: Float.self) == [3, 3])
  }

  @Test func clippingKeepsTheDirection() throws {
    let gradients = try SmallNetwork().gradients(0).gradients
    let before = gradients.entries.flatMap { $0.gradient.array(of: Double.self) }
    let norm = before.reduce(0) { $0 + $1 * $1 }.squareRoot()
    #expect(abs(gradients.clip(toNorm: 10 * norm) - norm) < 1e-5 * norm)
    #expect(gradients.entries.flatMap { $0.gradient.array(of: Double.self) } == before)
    #expect(abs(gradients.clip(toNorm: norm / 4) - norm) < 1e-5 * norm)
    let after = gradients.entries.flatMap { $0.gradient.array(of: Double.self) }
    #expect(areClose(after, before.map { $0 / 4 }, 1e-6))
    #expect(abs(gradients.norm - norm / 4) < 1e-5 * norm)
  }

  @Test func theFirstBadParameterIsNamed() throws {
    let gradients = try SmallNetwork().gradients(0).gradients
    #expect(gradients.firstNonFinite == nil)
    try gradients.requireFinite(loss: 1, norm: gradients.norm, step: 3, learningRate: 0.1)
    let bad = try #require(gradients["fc2.weight"])
    bad.select(0, 1).select(0, 2).fillInPlace(.nan)
    #expect(gradients.firstNonFinite == "fc2.weight")
    let norm = gradients.clip(toNorm: 0.1)
    #expect(norm.isNaN)
    #expect(gradients["fc1.weight"]?.isFinite().all().item == 1)
    let error = mingleError {
      try gradients.requireFinite(loss: 1, norm: norm, step: 3, learningRate: 0.1)
    }
    #expect(error?.kind == .failed)
    for part in ["step 3", "learning rate 0.1", "'fc2.weight'"] {
      #expect(error?.description.contains(part) == true)
    }
    #expect(throws: MingleError.self) {
      try gradients.requireFinite(loss: .infinity, norm: 1, step: 0, learningRate: 1)
    }
  }
}
