import Foundation
import Inference
import Models
import TestSupport
import Testing
import Torch

/// Products of bytes in ranges that were found out before.
@Suite(.ownRoutes) struct CalibrationTests {
  private func model(_ name: String, _ settings: [String: String] = [:]) throws -> any VisionModel {
    let family = try ModelRegistry.entry(name).family
    let model = try ModelCheckpoint.fresh(
      name, settings: (SmallModels.settings[family] ?? [:]).merging(settings) { $1 },
      generator: Generator(seed: 1)
    ).model
    let filled = model.state.map { ($0.name, Fill.parameter($0.name, $0.tensor.shape)) }
    try model.load(Dictionary(uniqueKeysWithValues: filled))
    model.setMode(.evaluation)
    return model
  }

  private func images(_ model: any VisionModel, _ count: Int, seed: UInt64) -> Tensor {
    let size = model.configuration.imageSize
    return .normal(
      [count, model.configuration.inputChannels, size.height, size.width],
      generator: Generator(seed: seed))
  }

  private func error(_ a: Tensor, _ b: Tensor) -> Double { (a - b).norm().item / b.norm().item }

  private func refusal(_ body: () throws -> Void) -> MingleError? {
    do { try body() } catch { return error as? MingleError }
    return nil
  }

  @Test(arguments: InferencePlanTests.names) func everyFamilyIsCalibrated(_ name: String) throws {
    let model = try model(name)
    let batches = [images(model, 3, seed: 1), images(model, 1, seed: 2)]
    // Routing to experts looks at its input.
    guard !name.hasPrefix("sparse") else {
      #expect(refusal { _ = try Calibration(of: model, on: batches) }?.kind == .usage)
      return
    }
    var told: [Int] = []
    let calibration = try Calibration(of: model, on: batches) { done, all in
      #expect(all == 8)
      told.append(done)
    }
    #expect(told == Array(1...8))
    #expect(calibration.samples == 4)
    let inBytes = calibration.steps.filter { $0.products == .bytes }
    #expect(inBytes.allSatisfy { $0.error <= 0.03 })
    #expect(calibration.steps.allSatisfy { $0.products == .bytes || $0.input == nil })

    let plan = try InferencePlan(calibration: calibration, for: batches[1]) { model.logits($0) }
    let images = images(model, 2, seed: 3)
    let expected = withoutGradients { model.logits(images) }
    for _ in 0..<2 { #expect(error(plan(images), expected) < 0.1) }
    let kernels = try #require(plan.kernels(for: images.shape))
    #expect(kernels.count == calibration.steps.count)
    #expect(kernels.inBytes == inBytes.count)
  }

  @Test func stepsAreNamedAndRanged() throws {
    let model = try model("mixer_s16_224")
    let calibration = try Calibration(of: model, on: [images(model, 4, seed: 1)])
    #expect(
      calibration.steps.map(\.layer) == [
        "stem.proj", "blocks.0.mlp_tokens", "blocks.0.mlp_channels", "blocks.1.mlp_tokens",
        "blocks.1.mlp_channels", "head",
      ])
    let tokens = calibration.steps[1]
    #expect(
      tokens.sizes
        == "24 tokens of 32, rows(epsilon: 1e-06), affine, 16 gelu, 24 identity, residual")
    let input = try #require(tokens.input), hidden = try #require(tokens.hidden)
    // Pictures of noise, normalised; and what GELU makes of sums of them.
    #expect(input.low < -1 && input.high > 1 && input.high < 10)
    #expect(hidden.low < 0 && hidden.low > -0.18 && hidden.high > 0)
    #expect(calibration.steps[0].hidden == nil)
  }

  /// The features' plan has the steps of the logits' without the last one.
  @Test func predictorsTakeIt() throws {
    let model = try model("gmlp_s16_224")
    let calibration = try Calibration(of: model, on: [images(model, 4, seed: 1)])
    let checkpoint = ModelCheckpoint(
      name: "gmlp_s16_224", model: model,
      preprocessing: Preprocessing(imageSize: model.configuration.imageSize))
    let images = images(model, 2, seed: 3)
    let (logits, features) = withoutGradients { (model.logits(images), model.features(images)) }
    let predictor = try Predictor(checkpoint, precision: .int8, calibration: calibration)
    #expect(predictor.calibration != nil)
    #expect(error(predictor.logits(images), logits) < 0.1)
    #expect(error(predictor.features(images), features) < 0.1)
    let exact = try Predictor(checkpoint, calibration: calibration)
    #expect(exact.calibration == nil)
    #expect(error(exact.logits(images), logits) < 1e-4)
  }

  @Test func stepsWithoutACommonRangeTakeTheirOwn() throws {
    let generator = Generator(seed: 1)
    let weight = Tensor.normal([8, 8], generator: generator)
    let x = Tensor.normal([1, 1000, 8], generator: generator)
    x.narrowed(1, 0..<1).copyInPlace(x.narrowed(1, 0..<1) * 100)
    let step = try #require(try Calibration(of: [x]) { $0.linear(weight) }.steps.first)
    #expect(step.products == .bytes)
    #expect(step.input == nil)
  }

  @Test func sensitiveStepsStayInBFloat16() throws {
    let generator = Generator(seed: 1)
    let x = Tensor.normal([2, 4, 32], generator: generator)
    x.narrowed(2, 0..<1).copyInPlace(.full([1], 1e4))
    let weight = Tensor.normal([8, 32], generator: generator)
    weight.narrowed(1, 0..<1).copyInPlace(.full([1], 0))
    let forward: @Sendable (Tensor) -> Tensor = { $0.linear(weight) }
    let calibration = try Calibration(of: [x], forward)
    #expect(calibration.steps.map(\.products) == [.bfloat16])
    let plan = try InferencePlan(calibration: calibration, for: x, forward)
    #expect(error(plan(x), forward(x)) < 0.01)
    #expect(plan.kernels(for: x.shape)?.inBytes == 0)
  }

  /// The first picture does not decide whether there is a plan.
  @Test func whatIsUnlikeTheSamplesIsComputed() throws {
    let model = try model("mixer_s16_224")
    let calibration = try Calibration(of: model, on: [images(model, 4, seed: 1) * 0.01])
    let plan = try InferencePlan(calibration: calibration, for: images(model, 1, seed: 1)) {
      model.logits($0)
    }
    let images = images(model, 2, seed: 2) * 100
    #expect(plan(images).isFinite().all().item == 1)
    #expect((plan.kernels(for: images.shape)?.inBytes ?? 0) > 0)
  }

  @Test func layersThatAreUsedTwiceTakeTheirOwnRanges() throws {
    let weight = Tensor.normal([8, 8], generator: Generator(seed: 1))
    let forward: @Sendable (Tensor) -> Tensor = { x in
      (x.linear(weight).softmax() * 1000 - 500).softmax().linear(weight)
    }
    let x = Tensor.normal([2, 6, 8], generator: Generator(seed: 2)) * 100
    let calibration = try Calibration(of: [x], forward)
    #expect(calibration.steps.count == 2)
    #expect(Set(calibration.steps.map(\.input)).count == 2)
    let plan = try InferencePlan(calibration: calibration, for: x, forward)
    #expect(error(plan(x), forward(x)) < 0.03)
  }

  // MARK: Files

  @Test func filesComeBack() throws {
    let folder = try TemporaryFolder()
    let model = try model("mixer_s16_224")
    let calibration = try Calibration(of: model, on: [images(model, 2, seed: 1)])
    let path = folder("calibration.json")
    try calibration.write(to: path)
    let read = try Calibration(contentsOf: path)
    #expect(read.path == path && calibration.path == nil)
    #expect(read.samples == 2)
    #expect(read.steps == calibration.steps)
  }

  @Test func weightsInOneFolderHaveEachTheirOwn() throws {
    let folder = try TemporaryFolder()
    for (weights, name) in [
      ("model.safetensors", "calibration.json"), ("a.safetensors", "a.calibration.json"),
      ("b.c.npz", "b.c.calibration.json"),
    ] {
      let file = try folder.write([0], to: weights)
      #expect(try Calibration.path(forWeightsAt: file) == folder(name))
    }
  }

  /// Weights that differ only in what stands beside the matrices are others.
  @Test func otherBiasesAreRefused() throws {
    let generator = Generator(seed: 4)
    let weight = Tensor.normal([8, 8], generator: generator)
    let bias = Tensor.normal([8], generator: generator)
    let x = Tensor.normal([2, 8], generator: generator)
    let calibration = try Calibration(of: [x]) { $0.linear(weight, bias) }
    _ = try InferencePlan(calibration: calibration, for: x) { $0.linear(weight, bias) }
    let error = refusal {
      _ = try InferencePlan(calibration: calibration, for: x) { $0.linear(weight, bias * 1.1) }
    }
    #expect(error?.kind == .badData)
  }

  @Test func whatIsNoCalibrationIsRefused() throws {
    let folder = try TemporaryFolder()
    let missing = refusal { _ = try Calibration(contentsOf: folder("none.json")) }
    #expect(missing?.kind == .missingInput)
    let step = #"""
      {"layer": "", "sizes": "", "norm": 1, "products": "int8", "error": 0,
       "input": {"low": LOW, "high": HIGH}}
      """#
    func file(_ low: String, _ high: String) -> String {
      let step = step.replacing("LOW", with: low).replacing("HIGH", with: high)
      return #"{"samples": 1, "steps": [\#(step)]}"#
    }
    let path = try folder.write(Array(file("-1", "1").utf8), to: "c.json")
    #expect(throws: Never.self) { try Calibration(contentsOf: path) }
    for text in [
      "", "[]", #"{"samples": 1, "steps": []}"#, file("1", "1"), file("2", "-2"),
      file("-3e38", "3e38"), file("-1e99", "1"), file("null", "1"),
      file("-1", "1").replacing("int8", with: "int4"),
    ] {
      let path = try folder.write(Array(text.utf8), to: "c.json")
      let error = refusal { _ = try Calibration(contentsOf: path) }
      #expect(error?.kind == .badData, "\(text)")
      #expect(error?.description.contains("mingle calibrate") == true)
    }
  }

  @Test(arguments: [
    (["depth": "1"], "step 4 (blocks.1.mlp_channels)"), (["depth": "3"], "step 6 (head)"),
    (["dim": "40"], "step 1 (stem.proj)"), (["image_size": "32x32"], "24 tokens"),
    (["classes": "7"], "1000 identity"),
  ])
  func otherNetworksAreRefused(_ settings: [String: String], _ tells: String) throws {
    let model = try model("mixer_s16_224"), other = try self.model("mixer_s16_224", settings)
    let calibration = try Calibration(of: model, on: [images(model, 2, seed: 1)])
    let found = refusal {
      _ = try InferencePlan(calibration: calibration, for: images(other, 1, seed: 1)) {
        other.logits($0)
      }
    }
    let error = try #require(found)
    #expect(error.kind == .badData)
    #expect(error.expected != nil && error.got != nil && error.next != nil)
    let isCounted = settings["depth"] != nil
    #expect(isCounted || error.description.contains(tells), "\(error)")
  }

  @Test func otherWeightsAreRefused() throws {
    let model = try model("mixer_s16_224")
    let images = images(model, 2, seed: 1)
    let calibration = try Calibration(of: model, on: [images])
    let state = model.state.map { name, tensor in
      (name, name.hasPrefix("blocks.1.mlp_tokens.fc2") ? tensor * 1.01 : tensor)
    }
    try model.load(Dictionary(uniqueKeysWithValues: state))
    let error = refusal {
      _ = try InferencePlan(calibration: calibration, for: images) { model.logits($0) }
    }
    #expect(error?.kind == .badData)
    #expect(error?.description.contains("step 4 (blocks.1.mlp_tokens)") == true, "\(error as Any)")
  }

  /// A plan for other inputs than the calibrated ones takes them as they come.
  @Test func otherShapesAreComputedAllTheSame() throws {
    let weight = Tensor.normal([8, 8], generator: Generator(seed: 1))
    let forward: @Sendable (Tensor) -> Tensor = { $0.rowLinear(weight) }
    let (x, other) = (
      Tensor.normal([2, 8, 24], generator: Generator(seed: 2)),
      Tensor.normal([2, 8, 40], generator: Generator(seed: 3))
    )
    let calibration = try Calibration(of: [x], forward)
    let plan = try InferencePlan(calibration: calibration, for: x, forward)
    for x in [x, other, x] { #expect(error(plan(x), forward(x)) < 0.03) }
  }
}
