import Layers
import Models
import TestSupport
import Testing
import Torch

/// Logits, features, stages and gradients are those of the reference code, and the permutation does
/// what it should.
@Suite(.serialized) @TorchActor struct VisionPermutatorTests {
  nonisolated static let registered = [
    ("vip_small_14_224", "vip_s14"), ("vip_small_7_224", "vip_s7"),
    ("vip_medium_7_224", "vip_m7"), ("vip_large_7_224", "vip_l7"),
  ]

  @Test(arguments: registered)
  func registeredModelEqualsReference(_ name: String, _ fixture: String) throws {
    try Fixture.load(fixture).check(ModelRegistry.entry(name).visionModel(generator: nil))
  }

  private static let small = VisionPermutatorConfiguration(
    depths: [1, 1, 2, 1], dims: [16, 32, 32, 32], segments: [8, 4, 4, 4],
    transitions: [true, false, false, false]
  ).with {
    $0.imageSize = 32
    $0.patchSize = 4
    $0.classes = 10
  }

  private let images = Tensor.normal([2, 3, 32, 32], generator: Generator(seed: 1))

  private func filled(
    _ configuration: VisionPermutatorConfiguration = small,
    _ change: (String, Tensor) -> Tensor = { $1 }
  ) throws -> VisionPermutator {
    let model = try VisionPermutator(configuration, generator: nil)
    let state = model.state.map {
      ($0.name, change($0.name, Fill.parameter($0.name, $0.tensor.shape)))
    }
    try model.load(Dictionary(uniqueKeysWithValues: state))
    return model
  }

  private func expectClose(_ a: Tensor, _ b: Tensor, _ tolerance: Double = 1e-5) {
    #expect((a - b).norm().item <= tolerance * b.norm().item)
  }

  @Test func smallModelEqualsReference() throws {
    try Fixture.load("vip_test").check(VisionPermutator(Self.small, generator: nil))
  }

  /// Pictures and convolutions turned over their diagonal, with heights and widths exchanged.
  @Test(arguments: [true, false]) func rowsAndColumnsAreAlike(_ weighted: Bool) throws {
    let configuration = Self.small.with {
      $0.weighted = weighted
      $0.branchBias = true
    }
    let model = try filled(configuration)
    let state = Dictionary(uniqueKeysWithValues: model.state.map { ($0.name, $0.tensor) })
    let turned = try filled(configuration) { name, tensor in
      func other(_ from: String, _ to: String) -> Tensor {
        state[name.replacing(from, with: to)] ?? tensor
      }
      if name.contains("mlp_h.") { return other("mlp_h.", "mlp_w.") }
      if name.contains("mlp_w.") { return other("mlp_w.", "mlp_h.") }
      if name.contains("reweight.fc2") {  // rows 3 c + k, k = 0, 1, 2 for height, width, channels
        let rows = tensor.reshaped([tensor.shape[0] / 3, 3, -1])
        let order = Tensor([1, 0, 2] as [Int])
        return rows.indexSelect(1, order).reshaped(tensor.shape)
      }
      return tensor.rank == 4 ? tensor.transposed(2, 3).contiguous() : tensor
    }
    expectClose(turned.logits(images.transposed(2, 3)), model.logits(images))
    let logits = model.logits(images.transposed(2, 3))
    #expect((logits - model.logits(images)).norm().item > 1e-3)
  }

  /// Equal weights for the three branches are the plain sum, but for the factor.
  @Test func equalWeightsArePlain() throws {
    let weighted = try filled { name, tensor in
      name.contains("reweight.fc2") ? tensor * 0 : tensor
    }
    let plain = try filled(Self.small.with { $0.weighted = false }) { name, tensor in
      name.hasSuffix("attn.proj.weight") ? tensor / 3 : tensor
    }
    #expect(plain.state.count == weighted.state.count - 5 * 4)
    expectClose(plain.logits(images), weighted.logits(images))
  }

  /// A stage after the patches sees them unchanged where all its branches end in zeros.
  @Test func skippedBranchesChangeNothing() throws {
    let model = try filled(Self.small.with { $0.skipDivisor = 1e6 })
    let names = ["patch_embed", "network.0"]
    let maps = try model.intermediates(images, at: names)
    expectClose(maps[1], maps[0].permuted([0, 2, 3, 1]), 1e-4)
  }

  @Test func widthMayChangeAtOneResolution() throws {
    let configuration = Self.small.with {
      $0.depths = [1, 2]
      $0.dims = [16, 24]
      $0.segments = [8, 8]
      $0.transitions = [false, false]
      $0.mlpRatio = [2, 3.5]
    }
    let model = try filled(configuration)
    let shapes = Dictionary(uniqueKeysWithValues: model.state.map { ($0.name, $0.tensor.shape) })
    #expect(shapes["network.1.proj.weight"] == [24, 16, 1, 1])
    #expect(shapes["network.0.0.mlp.fc1.weight"] == [32, 16])
    #expect(shapes["network.2.1.mlp.fc1.weight"] == [84, 24])
    #expect(model.logits(images).shape == [2, 10])
  }

  /// Convolutions leave out the pixels that fill no patch, as in the reference.
  @Test func pixelsBeyondThePatchesAreLeftOut() throws {
    let larger = try filled(Self.small.with { $0.imageSize = ImageSize(35, 34) })
    let wide = Tensor.normal([2, 3, 35, 34], generator: Generator(seed: 2))
    let inner = wide.narrowed(2, 0..<32).narrowed(3, 0..<32)
    expectClose(larger.logits(wide), try filled().logits(inner))
  }

  /// The weights fit any grid in their shapes, but mean the one that they were trained on.
  @Test(arguments: [nil, TokenResizing.interpolate])
  func weightsOfAnotherGridAreRefused(_ resizing: TokenResizing?) throws {
    let folder = try TemporaryFolder()
    let checkpoint = ModelCheckpoint(
      name: "vip_small_7_224", model: try filled(), preprocessing: Preprocessing(imageSize: 32))
    try checkpoint.write(to: folder("model.safetensors"))
    let settings = ["image_size": "64", "segments": "16,8,8,8"]
    let error = #expect(throws: MingleError.self) {
      try ModelCheckpoint.load(
        folder("model.safetensors"), LoadOptions(settings: settings, resizeTokens: resizing))
    }
    #expect(error?.description.contains("pass --image-size 32") == true)
    #expect(error?.description.contains("--resize-tokens") == false)
  }
}
