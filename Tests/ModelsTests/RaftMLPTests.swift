import Layers
import Models
import TestSupport
import Testing
import Torch

/// Logits, features, levels and gradients are those of the reference code, at the training size and
/// at others, and rafts do what they should.
@Suite(.serialized) @TorchActor struct RaftMLPTests {
  nonisolated static let registered = [
    ("raft_mlp_s_224", "raftmlp_s"), ("raft_mlp_m_224", "raftmlp_m"),
    ("raft_mlp_l_224", "raftmlp_l"), ("raft_mlp_12_224", "raftmlp_12"),
    ("raft_mlp_36_224", "raftmlp_36"),
  ]

  @Test(arguments: registered)
  func registeredModelEqualsReference(_ name: String, _ fixture: String) throws {
    try Fixture.load(fixture).check(ModelRegistry.entry(name).visionModel(generator: nil))
  }

  private static let small = RaftMLPConfiguration(
    patchSizes: [4, 2, 2, 2], kernels: [[4, 8], [2, 4], [2, 4], [2]], depths: [1, 1, 2, 1],
    dims: [16, 32, 48, 64], raftSizes: [2, 2, 2, 2]
  ).with {
    $0.imageSize = 64
    $0.classes = 10
  }
  private static let plain = RaftMLPConfiguration.plain12.with {
    $0.imageSize = 32
    $0.classes = 10
    $0.patchSizes = [8]
    $0.depths = [2]
    $0.dims = [32]
  }

  @Test func smallModelEqualsReference() throws {
    try Fixture.load("raftmlp_test").check(RaftMLP(Self.small, generator: nil))
  }

  @Test func otherSizeEqualsReference() throws {
    let configuration = Self.small.with {
      $0.imageSize = ImageSize(80, 104)
      $0.trainingSize = 64
    }
    try Fixture.load("raftmlp_test_resize").check(RaftMLP(configuration, generator: nil))
  }

  @Test func shortcutsEqualReference() throws {
    let configuration = Self.small.with { $0.shortcut = true }
    try Fixture.load("raftmlp_test_shortcut").check(RaftMLP(configuration, generator: nil))
  }

  @Test func plainModelEqualsReference() throws {
    try Fixture.load("raftmlp_v1_test").check(RaftMLP(Self.plain, generator: nil))
  }

  private let images = Tensor.normal([2, 3, 32, 32], generator: Generator(seed: 1))

  private func filled(_ configuration: RaftMLPConfiguration) throws -> RaftMLP {
    let model = try RaftMLP(configuration, generator: nil)
    let state = model.state.map { ($0.name, Fill.parameter($0.name, $0.tensor.shape)) }
    try model.load(Dictionary(uniqueKeysWithValues: state))
    return model
  }

  private func state(_ model: some VisionModel) -> [String: Tensor] {
    Dictionary(uniqueKeysWithValues: model.state.map { ($0.name, $0.tensor) })
  }

  private func expectClose(_ a: Tensor, _ b: Tensor, _ tolerance: Double = 1e-5) {
    #expect((a - b).norm().item <= tolerance * b.norm().item)
  }

  /// Rafts that mix with themselves alone, all in the same way, are rafts of one channel.
  @Test(arguments: [2, 4]) func separateRaftsAreSingleChannels(_ raftSize: Int) throws {
    let single = try filled(Self.plain.with { $0.raftSizes = [1] })
    let rafts = try RaftMLP(Self.plain.with { $0.raftSizes = [raftSize] }, generator: nil)
    var tensors = state(single)
    for (name, tensor) in tensors {
      guard name.contains(".1.fn.") || name.contains(".3.fn.") || name.contains(".norm.1.")
      else { continue }
      if name.contains(".norm.1.") {  // from the channels' order r' O + o to o r + r'
        tensors[name] = tensor.reshaped([raftSize, -1]).transposed(0, 1).flattened()
      } else if tensor.rank == 2 {
        tensors[name] = .blockDiagonal(Array(repeating: tensor, count: raftSize))
      } else {
        tensors[name] = .concatenated(Array(repeating: tensor, count: raftSize))
      }
    }
    try rafts.load(tensors)
    expectClose(rafts.logits(images), single.logits(images))
  }

  /// Without rafts and directions it is a Mixer, but for the epsilon of the norms.
  @Test func jointMixingIsAMixer() throws {
    let joint = try filled(Self.plain.with { $0.tokenMixing = .joint })
    let mixer = try Mixer(
      MixerConfiguration(depth: 2, dim: 32).with {
        $0.imageSize = 32
        $0.patchSize = 8
        $0.classes = 10
        $0.tokenMLPRatio = 1  // 2 x 16 tokens for 32 channels
      }, generator: nil)
    let names = [
      ("heads.0.1", "norm"), ("classifier", "head"), ("levels.0.fn.1", "stem.proj"),
      ("levels.0.fn.2", "blocks.0"), ("levels.0.fn.3", "blocks.1"),
      (".1.norm.1", ".norm1"), (".1.fn.0", ".mlp_tokens.fc1"), (".1.fn.3", ".mlp_tokens.fc2"),
      (".3.norm", ".norm2"), (".3.fn.0", ".mlp_channels.fc1"), (".3.fn.3", ".mlp_channels.fc2"),
    ]
    var tensors: [String: Tensor] = [:]
    for (name, tensor) in state(joint) {
      let key = names.reduce(name) { $0.replacing($1.0, with: $1.1) }
      let isKernel = key == "stem.proj.weight"
      tensors[key] =
        isKernel ? tensor.reshaped([32, 8, 8, 3]).permuted([0, 3, 1, 2]).contiguous() : tensor
    }
    try mixer.load(tensors)
    expectClose(joint.logits(images), mixer.logits(images), 1e-3)
  }

  /// One patch of the stride's size is a plain embedding with columns in another order.
  @Test func oneScaleIsPlain() throws {
    let plain = try filled(Self.plain)
    let scales = try RaftMLP(
      Self.plain.with {
        $0.embedding = .multiScale
        $0.kernels = [[8]]
      }, generator: nil)
    var tensors = state(plain)
    let weight = tensors.removeValue(forKey: "levels.0.fn.1.weight")
    tensors["levels.0.fn.0.fc.weight"] =
      weight?.reshaped([32, 8, 8, 3]).permuted([0, 3, 1, 2]).reshaped([32, 192])
    tensors["levels.0.fn.0.fc.bias"] = tensors.removeValue(forKey: "levels.0.fn.1.bias")
    try scales.load(tensors)
    expectClose(scales.logits(images), plain.logits(images))
  }

  @Test func modelsKeepTheirTrainingSizeInFiles() throws {
    let folder = try TemporaryFolder()
    let model = try filled(Self.plain)
    #expect(model.configuration.trainingSize == 32)
    try ModelCheckpoint(
      name: "raft_mlp_12_224", model: model, preprocessing: Preprocessing(imageSize: 32)
    ).write(to: folder("model.safetensors"))
    let loaded = try ModelCheckpoint.load(
      folder("model.safetensors"), LoadOptions(settings: ["image_size": "37x50"]))
    let wide = Tensor.normal([2, 3, 37, 50], generator: Generator(seed: 2))
    #expect(loaded.model.logits(wide).shape == [2, 10])
    expectClose(loaded.model.logits(images), model.logits(images), 0)
  }

  @Test func settingsAreReadable() throws {
    let entry = try ModelRegistry.entry("raft_mlp_s_224")
    let settings = [
      "image_size": "50x70", "training_size": "64", "patch_sizes": "3,2", "kernels": "3+9,2+4+8",
      "depths": "1,2", "dims": "24,48", "raft_sizes": "3,4", "classes": "7", "shortcut": "true",
    ]
    let model = try entry.visionModel(settings: settings, generator: Generator(seed: 1))
    let shapes = state(model).mapValues(\.shape)
    #expect(shapes["levels.0.fn.0.fc.weight"] == [24, 3 * (9 + 81)])
    #expect(shapes["levels.1.fn.0.fc.weight"] == [48, 24 * (4 + 16 + 64)])
    #expect(shapes["levels.1.fn.3.1.fn.0.weight"] == [88, 44])  // 64 / 3 / 2, rounded up, is 11
    #expect(shapes["heads.0.4.weight"] == [96, 24])
    let wide = Tensor.normal([2, 3, 50, 70], generator: Generator(seed: 2))
    #expect(model.logits(wide).shape == [2, 7])
  }

  @Test(arguments: [1, 2, 15]) func anySizeRuns(_ side: Int) throws {
    let model = try filled(Self.small.with { $0.imageSize = ImageSize(side, 3 * side) })
    let images = Tensor.normal([1, 3, side, 3 * side], generator: Generator(seed: 1))
    #expect(model.logits(images).isFinite().all().item == 1)
  }
}
