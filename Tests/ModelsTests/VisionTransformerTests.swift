import Layers
import Models
import TestSupport
import Testing
import Torch

/// Vision transformers are those of timm.
@Suite(.serialized) @TorchActor struct VisionTransformerTests {
  @Test(arguments: ["deit_tiny_patch16_224", "deit_small_patch16_224", "vit_base_patch16_224"])
  func registeredModelEqualsReference(_ name: String) throws {
    try Fixture.load(name).check(
      ModelRegistry.entry(name).visionModel(generator: nil), logits: 1e-5, gradients: 1e-4)
  }

  private static let small = VisionTransformerConfiguration(dim: 32, heads: 4).with {
    $0.imageSize = 32
    $0.patchSize = 8
    $0.classes = 10
    $0.depth = 2
  }

  @Test func smallModelEqualsReference() throws {
    try Fixture.load("vit_test").check(
      VisionTransformer(Self.small, generator: nil), logits: 1e-5, gradients: 1e-4)
  }

  /// Without positions, the order of the patches does not matter to the class token.
  @Test func attentionIgnoresTheOrderOfPatches() throws {
    let model = try VisionTransformer(Self.small, generator: Generator(seed: 1))
    var state = Dictionary(uniqueKeysWithValues: model.state.map { ($0.name, $0.tensor) })
    state["pos_embed"] = .zeros([1, 17, 32])
    try model.load(state)
    let images = Tensor.normal([2, 3, 32, 32], generator: Generator(seed: 2))
    let flipped = images.rolled([8, 16], dimensions: [2, 3])
    let difference = (model.logits(images) - model.logits(flipped)).abs().max().item
    #expect(difference < 1e-5)
  }

  @Test func positionsAreInterpolatedAndTheClassTokensKept() throws {
    let folder = try TemporaryFolder()
    let model = try ModelRegistry.entry("deit_tiny_patch16_224").visionModel(
      settings: ["image_size": "32", "patch_size": "8", "depth": "1"],
      generator: Generator(seed: 1))
    let checkpoint = ModelCheckpoint(
      name: "deit_tiny_patch16_224", model: model, preprocessing: Preprocessing(imageSize: 32))
    try checkpoint.write(to: folder("model.safetensors"))
    let larger = try ModelCheckpoint.load(
      folder("model.safetensors"),
      LoadOptions(settings: ["image_size": "48x64"], resizeTokens: .interpolate))
    let old = try #require(model.state.first { $0.name == "pos_embed" }).tensor
    let new = try #require(larger.model.state.first { $0.name == "pos_embed" }).tensor
    #expect(new.shape == [1, 1 + 48, 192])
    let (kept, wanted) = (new.select(1, 0), old.select(1, 0))
    #expect(kept.array(of: Float.self) == wanted.array(of: Float.self))
    #expect(larger.model.logits(.zeros([1, 3, 48, 64])).shape == [1, 1000])
  }

  @Test(arguments: [
    (["heads": "5"], "the nearest number is 4"), (["heads": "0"], "heads is out of range"),
    (["image_size": "225"], "the nearest size is 224"),
    (["attention_dropout": "1.5"], "attention_dropout is out of range"),
  ]) func wrongSettingsAreErrors(_ settings: [String: String], _ part: String) {
    let error = #expect(throws: MingleError.self) {
      try ModelRegistry.entry("vit_tiny_patch16_224").visionModel(
        settings: settings, generator: nil)
    }
    #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
  }
}

/// Attention with masks and dropout.
@Suite(.serialized) @TorchActor struct AttentionTests {
  private func random(_ shape: [Int], _ seed: UInt64) -> Tensor {
    .normal(shape, generator: Generator(seed: seed))
  }

  private func distance(_ a: Tensor, _ b: Tensor) -> Double { (a - b).abs().max().item }

  @Test func masksHideKeys() {
    let attention = DotProductAttention(heads: 2)
    let (q, k, v) = (random([2, 3, 8], 1), random([2, 5, 8], 2), random([2, 5, 8], 3))
    let bool = Tensor([1, 1, 0, 1, 0] as [Float]).equal(1).reshaped([1, 1, 1, 5])
    let added = Tensor([0, 0, -1e9, 0, -1e9] as [Float], shape: [1, 1, 1, 5])
    let kept = Tensor([0, 1, 3])
    let wanted = attention(q, k.indexSelect(1, kept), v.indexSelect(1, kept))
    #expect(wanted.shape == [2, 3, 8])
    #expect(distance(attention(q, k, v, mask: bool), wanted) < 1e-5)
    #expect(distance(attention(q, k, v, mask: added), wanted) < 1e-5)
  }

  /// The path with dropout computes the same, up to the dropout: its mean is the path without.
  @Test func dropoutKeepsTheMean() {
    let attention = DotProductAttention(heads: 2, dropout: 0.5)
    let (q, k, v) = (random([1, 3, 8], 1), random([1, 5, 8], 2), random([1, 5, 8], 3))
    let mask = Tensor([1, 1, 0, 1, 1] as [Float]).equal(1).reshaped([1, 1, 1, 5])
    let exact = attention(q, k, v, mask: mask)
    attention.setMode(.training(Generator(seed: 1)))
    let first = attention(q, k, v, mask: mask)
    #expect(distance(first, exact) > 1e-3)
    let samples = (0..<3000).map { _ in attention(q, k, v, mask: mask) }
    #expect(distance(Tensor.stacked(samples).mean([0]), exact) < 0.1)
    attention.setMode(.training(Generator(seed: 1)))
    #expect(distance(attention(q, k, v, mask: mask), first) == 0)
  }
}
