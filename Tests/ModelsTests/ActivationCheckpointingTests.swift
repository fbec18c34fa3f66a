import Layers
import Models
import TestSupport
import Testing
import Torch

/// Training that keeps only the inputs of blocks, against training that keeps everything.
@Suite @TorchActor struct ActivationCheckpointingTests {
  private struct Outcome: Equatable {
    var loss: Double
    var gradients: [[Float]]
    var buffers: [[Float]]
    var next: Float
  }

  /// One step's loss and gradients, what it left in the buffers, and the random number after it.
  private func outcome(
    of model: any Model, isOn: Bool, precision: DType? = nil, _ logits: (Generator) -> Tensor
  ) -> Outcome {
    let generator = Generator(seed: 7)
    model.setMode(.training(generator))
    let watch = RoutingWatch(model)
    let (value, gradients) = valueAndGradient(
      of: model.namedParameters.filter { !$0.parameter.isFrozen }
    ) {
      let (scores, routing) = watch.record {
        withActivationCheckpointing(isOn, generator: generator) {
          withAutocast(precision, on: .cpu) { logits(generator) }.to(.float32)
        }
      }
      let loss = (scores * scores).mean() + scores.flattened(from: 0).narrowed(0, 0..<1).sum()
      return routing.loss.map { loss + $0 } ?? loss
    }
    return Outcome(
      loss: value.item, gradients: gradients.entries.map { $0.gradient.array(of: Float.self) },
      buffers: model.namedBuffers.map { $0.buffer.tensor.array(of: Float.self) },
      next: Tensor.uniform([1], generator: generator).array(of: Float.self)[0])
  }

  /// A network whose every weight matters, with dropout and stochastic depth where the family has them.
  private func network(
    _ name: String, drops: [String] = ["drop_path", "dropout"]
  ) throws -> any VisionModel {
    let entry = try ModelRegistry.entry(name)
    var settings = try #require(SmallModels.settings[entry.family])
    for field in drops {
      let more = settings.merging([field: "0.3"]) { $1 }
      if (try? entry.visionModel(settings: more, generator: nil)) != nil { settings = more }
    }
    let model = try entry.visionModel(settings: settings, generator: Generator(seed: 1))
    let generator = Generator(seed: 2)
    for (_, parameter) in model.namedParameters where parameter.tensor.rank > 1 {
      let noise = Tensor.normal(
        parameter.tensor.shape, standardDeviation: 0.1, generator: generator)
      parameter.tensor.detached().addInPlace(noise)
    }
    return model
  }

  /// One of each family.
  private nonisolated static let names = Dictionary(
    grouping: ModelRegistry.entries(reading: .pictures), by: \.family
  ).compactMap(\.value.first?.name).sorted()

  @Test(arguments: names) func pictureModelsGiveTheSameToTheBit(_ name: String) throws {
    let outcomes = try [false, true].map { isOn in
      let model = try network(name)
      let size = model.configuration.imageSize
      let images = Tensor.normal(
        [2, 3, size.height, size.width], generator: Generator(seed: 3))
      return outcome(of: model, isOn: isOn) { _ in model.logits(images) }
    }
    #expect(outcomes[0].loss == outcomes[1].loss)
    // The losses of experts have a graph of their own, whose gradients are added in another order.
    let tolerance: Float = name.hasPrefix("sparse_mlp") ? 1e-5 : 0
    for (a, b) in zip(outcomes[0].gradients, outcomes[1].gradients) {
      let largest = a.map(abs).max() ?? 0
      let difference = zip(a, b).map { abs($0 - $1) }.max() ?? 0
      #expect(difference <= tolerance * largest && largest.isFinite)
    }
    #expect(outcomes[0].buffers == outcomes[1].buffers)
    #expect(outcomes[0].next == outcomes[1].next)
  }

  /// Also where the way is measured within a block (nil). No kernel does dropout within a branch.
  @Test(
    arguments: ["gmlp_s16_224", "mixer_s16_224", "resmlp_12_224"],
    BranchRoutes.Route.allCases + [nil])
  func blocksComputedAgainTakeTheirRoutes(_ name: String, _ route: BranchRoutes.Route?) throws {
    func outcome(isOn: Bool, _ routes: BranchRoutes?) throws -> Outcome {
      let model = try network(name, drops: ["drop_path"])
      let size = model.configuration.imageSize
      let images = Tensor.normal(
        [4, 3, size.height, size.width], generator: Generator(seed: 3))
      return BranchRoutes.$current.withValue(routes) {
        self.outcome(of: model, isOn: isOn) { _ in model.logits(images) }
      }
    }
    let routes = BranchRoutes(table: RouteTable(path: nil, always: route?.rawValue))
    let again = try outcome(isOn: true, routes)
    #expect(!routes.chosen.isEmpty)
    let isSame = try again == outcome(isOn: false, routes)
    #expect(isSame)
    // Without routes all branches take kernels.
    if let route {
      let isKernels = try again == outcome(isOn: false, nil)
      #expect(isKernels == (route == .kernels))
    }
  }

  @Test(arguments: [false, true]) func lowPrecisionIsRepeated(_ keeps: Bool) throws {
    let outcomes = try [false, true].map { isOn in
      let model = try network("gmlp_s16_224")
      for (_, parameter) in model.namedParameters { parameter.keepsLowPrecision = keeps }
      let images = Tensor.normal([2, 3, 32, 48], generator: Generator(seed: 3))
      return outcome(of: model, isOn: isOn, precision: .bfloat16) { _ in model.logits(images) }
    }
    let isSame = outcomes[0] == outcomes[1]
    #expect(isSame)
  }

  @Test(arguments: ["gmlp_base", "amlp_base", "bert_base", "mixer_base"])
  func textModelsGiveTheSameToTheBit(_ name: String) throws {
    let entry = try ModelRegistry.entry(name)
    var settings = try #require(SmallModels.settings[entry.family])
    settings["dropout"] = "0.2"
    let outcomes = try [false, true].map { isOn in
      let model = try entry.languageModel(settings: settings, generator: Generator(seed: 1))
      let tokens = Tensor((0..<24).map { Int64($0 * 7 % 50) }, shape: [2, 12])
      return outcome(of: model, isOn: isOn) { _ in model.logits(tokens) }
    }
    let isSame = outcomes[0] == outcomes[1]
    #expect(isSame)
  }

  @Test func frozenBlocksHaveNoGradients() throws {
    let outcomes = try [false, true].map { isOn in
      let model = try network("mixer_s16_224")
      try model.freeze(["stem", "blocks.0", "blocks.1.norm1"])
      let images = Tensor.normal([2, 3, 32, 48], generator: Generator(seed: 3))
      return outcome(of: model, isOn: isOn) { _ in model.logits(images) }
    }
    let isSame = outcomes[0] == outcomes[1]
    #expect(isSame)
  }

  @Test func withoutGradientsNothingIsKept() throws {
    let model = try network("mixer_s16_224")
    let images = Tensor.normal([2, 3, 32, 48], generator: Generator(seed: 3))
    let logits = withoutGradients {
      withActivationCheckpointing(generator: Generator(seed: 1)) { model.logits(images) }
    }
    #expect(!logits.requiresGradient)
    #expect(logits.array(of: Float.self) == model.logits(images).detached().array(of: Float.self))
  }

  /// Something that a block's graph holds on to.
  private final class Activation: Sendable {}

  @Test(arguments: [false, true]) func blocksLetGoOfTheirActivations(_ isOn: Bool) {
    weak var kept: Activation?
    let (value, gradients) = valueAndGradient(at: Linear(3, 3, generator: Generator(seed: 1))) {
      layer in
      let y = withActivationCheckpointing(isOn, generator: Generator(seed: 1)) {
        checkpointed(layer(.ones([2, 3]))) { x in
          let activation = Activation()
          if kept == nil { kept = activation }
          return customFunction([x]) { inputs in
            let backward: @Sendable ([Tensor?]) -> [Tensor?] = { gradients in
              withExtendedLifetime(activation) { gradients.map { $0.map { $0 * 2 } } }
            }
            return ([inputs[0] * 2], backward)
          }[0] * 3
        }
      }
      #expect((kept == nil) == isOn)
      return y.sum()
    }
    #expect(value.item.isFinite && gradients["bias"]?.array(of: Float.self) == [12, 12, 12])
    #expect(kept == nil)
  }

  @Test func runningStatisticsMoveOnce() {
    let norms = [false, true].map { isOn in
      let norm = BatchNorm(3)
      norm.mode = .training(Generator(seed: 1))
      let x = Tensor.normal([4, 3, 2, 2], generator: Generator(seed: 2))
      _ = valueAndGradient(at: norm) { norm in
        withActivationCheckpointing(isOn, generator: Generator(seed: 1)) {
          (checkpointed(x) { norm($0).relu() }).sum()
        }
      }
      return norm
    }
    #expect(norms.map(\.numBatchesTracked.tensor.item) == [1, 1])
    #expect(
      norms[0].runningVar.tensor.array(of: Float.self)
        == norms[1].runningVar.tensor.array(of: Float.self))
  }
}
