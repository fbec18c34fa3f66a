import Layers
import Models
import TestSupport
import Testing
import Torch

/// Hire-MLP is the released code's; its shifts, regions and borders are what they should be.
@Suite(.serialized) @TorchActor struct HireMLPTests {
  nonisolated static let variants = ["tiny", "small", "base", "large"]

  @Test(arguments: variants) func registeredModelEqualsReference(_ name: String) throws {
    let model = try ModelRegistry.entry("hire_mlp_\(name)_224").visionModel(generator: nil)
    try Fixture.load("hire_mlp_\(name)").check(model)
  }

  @Test func registeredModelTrainsAsTheReference() throws {
    let model = try ModelRegistry.entry("hire_mlp_tiny_224").visionModel(generator: nil)
    try Fixture.load("hire_mlp_tiny_train").check(model)
  }

  private static let small = HireMLPConfiguration(depths: [2, 2, 4, 2], dims: [16, 32, 48, 64])
    .with {
      $0.imageSize = 64
      $0.classes = 10
    }

  /// At 56x88 the maps of all stages but the first's rows need padding: 14x22, 7x11, 4x6, 2x3.
  @Test(arguments: ["hire_test", "hire_test_56x88", "hire_test_train"])
  func smallModelEqualsReference(_ name: String) throws {
    let fixture = try Fixture.load(name)
    let size = ImageSize(fixture.inputShape[2], fixture.inputShape[3])
    try fixture.check(HireMLP(Self.small.with { $0.imageSize = size }, generator: nil))
  }

  // MARK: - The module by its definition

  /// One stage of a single block with 4 channels, and what its module does to a map.
  private func output(
    _ x: Tensor, region: Int, step: Int, padding: PaddingMode = .circular,
    stepPadding: PaddingMode = .circular, generator: Generator
  ) throws -> (module: any Layer, found: Tensor) {
    let configuration = HireMLPConfiguration(depths: [2], dims: [4]).with {
      $0.regions = [region]
      $0.stepStrides = [2]
      $0.stepDilations = [step]
      $0.padding = padding
      $0.stepPadding = stepPadding
    }
    let model = try HireMLP(configuration, generator: generator)
    for (_, parameter) in model.namedParameters {
      withoutGradients {
        _ = parameter.tensor.copyInPlace(.normal(parameter.tensor.shape, generator: generator))
      }
    }
    let module = try #require(
      model.namedModules.first { $0.name == "network.0.1.attn" }?.module as? any Layer)
    return (module, module(x))
  }

  /// The module as the paper's words: rows gathered one by one into regions and put back.
  private func expected(
    _ x: Tensor, _ module: any Layer, region: Int, step: Int, padding: PaddingMode,
    stepPadding: PaddingMode
  ) throws -> Tensor {
    let weights = Dictionary(uniqueKeysWithValues: module.state.map { ($0.name, $0.tensor) })
    func pointwise(_ x: Tensor, _ name: String) throws -> Tensor {  // [B, C, ...] over C
      let weight = try #require(weights[name + ".weight"]).flattened(from: 1)
      return x.transposed(1, -1).linear(weight, weights[name + ".bias"]).transposed(1, -1)
    }
    /// Mixes along the last axis of [B, C, N, L].
    func branch(_ x: Tensor, _ name: String) throws -> Tensor {
      let (channels, length) = (x.shape[1], x.shape[3])
      func source(_ position: Int) -> Int? {  // in x, of a position in the padded shifted map
        var p = position
        if p >= length {
          switch padding {
          case .zero: return nil
          case .circular: p -= length
          case .reflect: p = 2 * (length - 1) - p
          case .replicate: p = length - 1
          }
        }
        p -= step
        return stepPadding == .zero ? (p < 0 ? nil : p) : ((p % length) + length) % length
      }
      let zeros = Tensor.zeros([x.shape[0], channels, x.shape[2]])
      var rows = [Tensor](repeating: zeros, count: length)
      for start in stride(from: 0, to: length, by: region) {
        let positions = (start..<start + region)
          .map { source($0).map { x.select(3, $0) } ?? zeros }
        let vector = Tensor.stacked(positions, dimension: 2)  // [B, C, p, N]
          .reshaped([x.shape[0], channels * region, x.shape[2]])
        var y = try pointwise(vector, name + "1")
        let gain = try #require(weights[name + "1_norm.weight"]).unsqueezed(1)
        let bias = try #require(weights[name + "1_norm.bias"]).unsqueezed(1)
        y = (y * gain * (1 / 1.00001.squareRoot()) + bias).relu()
        let mixed = try pointwise(y, name + "2")
          .reshaped([x.shape[0], channels, region, x.shape[2]])
        for i in 0..<min(region, length - start) {
          let back = stepPadding == .zero ? 0 : step % length
          rows[(start + i - back + length) % length] = mixed.select(2, i)
        }
      }
      return .stacked(rows, dimension: 3)
    }
    let h = try branch(x.transposed(2, 3), "mlp_h").transposed(2, 3)
    let w = try branch(x, "mlp_w")
    let c = try pointwise(x, "mlp_c")
    let means = try pointwise((h + w + c).mean([2, 3]), "reweight.fc1").gelu()
    let shares = try pointwise(means, "reweight.fc2").reshaped([x.shape[0], x.shape[1], 3])
      .softmax(-1)
    func share(_ index: Int) -> Tensor { shares.select(2, index).unsqueezed(2).unsqueezed(3) }
    return try pointwise(h * share(0) + w * share(1) + c * share(2), "proj")
  }

  @Test(arguments: PaddingMode.allCases) func modulesMixAsDefined(_ padding: PaddingMode) throws {
    let generator = Generator(seed: 1)
    let x = Tensor.normal([2, 4, 7, 10], generator: generator)
    for (region, step) in [(1, 0), (2, 1), (3, 0), (3, 2), (4, 8), (5, 3)] {
      for stepPadding in [PaddingMode.circular, .zero] {
        let (module, found) = try output(
          x, region: region, step: step, padding: padding, stepPadding: stepPadding,
          generator: generator)
        let wanted = try expected(
          x, module, region: region, step: step, padding: padding, stepPadding: stepPadding)
        let error = (found - wanted).norm().item / wanted.norm().item
        #expect(error < 1e-5, "region \(region), step \(step), \(stepPadding)")
      }
    }
  }

  /// Where regions tile a map, moving it by a region moves what comes out along.
  @Test func wholeRegionsMove() throws {
    let configuration = Self.small.with { $0.regions = [2, 2, 2, 2] }
    let model = try HireMLP(configuration, generator: Generator(seed: 1))
    let stage = try #require(
      model.namedModules.first { $0.name == "network.4" }?.module as? any Layer)
    let map = Tensor.normal([1, 48, 6, 4], generator: Generator(seed: 2))
    func change(_ shift: Int) -> Double {
      let moved = stage(map.rolled([shift], dimensions: [2]))
      return (moved - stage(map).rolled([shift], dimensions: [2])).norm().item
    }
    #expect(change(2) < 1e-5)
    #expect(change(1) > 1e-4)
  }

  /// Any size at which regions can be padded, also one that the configuration does not name.
  @Test(arguments: PaddingMode.allCases) func otherImageSizesRun(_ padding: PaddingMode) throws {
    for size in [ImageSize(33, 47), ImageSize(65, 224), ImageSize(19, 129)] {
      let configuration = Self.small.with {
        $0.padding = padding
        $0.imageSize = size
        $0.depths = [1, 2, 1, 1]
      }
      guard padding != .reflect || size.height > 34 else {
        #expect(throws: MingleError.self) { try configuration.validate() }
        continue
      }
      let model = try HireMLP(configuration, generator: Generator(seed: 1))
      let images = Tensor.normal([1, 3, size.height, size.width], generator: Generator(seed: 2))
      #expect(model.logits(images).isFinite().all().item == 1)
    }
  }

  @Test func ratiosAndStagesMayDiffer() throws {
    let configuration = HireMLPConfiguration(depths: [1, 2, 1], dims: [8, 12, 16]).with {
      $0.mlpRatio = [2, 3, 1.5]
      $0.regions = [2, 3, 1]
      $0.stepStrides = [1, 2, 1]
      $0.stepDilations = [1, 1, 1]
      $0.imageSize = 32
    }
    let model = try HireMLP(configuration, generator: Generator(seed: 1))
    let shapes = model.namedParameters.filter { $0.name.hasSuffix("mlp.fc1.weight") }
      .map { $0.parameter.tensor.shape[0] }
    #expect(shapes == [16, 36, 36, 24])
    #expect(model.stages.map(\.name).suffix(2) == ["network.4", "norm"])
  }
}
