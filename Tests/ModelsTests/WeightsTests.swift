import Checkpoints
import Layers
import Models
import TestSupport
import Testing
import Torch

/// Foreign layouts, other image sizes, and files that do not fit.
@Suite(.serialized) @TorchActor struct WeightsTests {
  private let images = Tensor.normal([2, 3, 32, 32], generator: Generator(seed: 1))

  private func filled(_ name: String, _ settings: [String: String] = [:]) throws -> any VisionModel
  {
    let base = ["image_size": "32", "patch_size": "8", "depth": "2", "dim": "32", "classes": "5"]
    let model = try ModelRegistry.entry(name).visionModel(
      settings: base.merging(settings) { $1 }, generator: nil)
    let state = model.state.map { ($0.name, Fill.parameter($0.name, $0.tensor.shape)) }
    try model.load(Dictionary(uniqueKeysWithValues: state))
    return model
  }

  private func state(_ model: any VisionModel) -> [String: Tensor] {
    Dictionary(uniqueKeysWithValues: model.state.map { ($0.name, $0.tensor) })
  }

  @Test func googlesKeysAndShapes() throws {
    let tensors = state(try filled("mixer_s16_224"))
    let google = try Mixer.foreignLayouts[0].exported(tensors)
    #expect(google["stem/kernel"]?.shape == [8, 8, 3, 32])
    #expect(google["MixerBlock_1/token_mixing/Dense_0/kernel"]?.shape == [16, 16])
    #expect(google["MixerBlock_0/channel_mixing/Dense_1/kernel"]?.shape == [128, 32])
    #expect(google["pre_head_layer_norm/scale"]?.shape == [32])
    #expect(google["head/kernel"]?.shape == [32, 5])
    #expect(google.count == tensors.count)
    // HWIO: element [h, w, i, o] is our [o, i, h, w].
    let own = try #require(tensors["stem.proj.weight"]).array(of: Float.self)
    let foreign = try #require(google["stem/kernel"]).array(of: Float.self)
    let (foreignPlace, ownPlace) = (2823, 1437)  // h 3, w 5, i 1, o 7
    #expect(foreign[foreignPlace] == own[ownPlace])
  }

  @Test(arguments: ["mixer_s16_224", "resmlp_12_224"])
  func foreignLayoutsAreTotalBothWays(_ name: String) throws {
    let model = try filled(name)
    let tensors = state(model)
    for layout in type(of: model).foreignLayouts {
      let foreign = try layout.exported(tensors)
      #expect(layout.recognizes(Set(foreign.keys)))
      #expect(!layout.recognizes(Set(tensors.keys)))
      let back = try layout.imported(foreign)
      #expect(Set(back.keys) == Set(tensors.keys))
      for (key, tensor) in tensors {
        #expect(back[key]?.shape == tensor.shape)
        #expect(back[key]?.array(of: Float.self) == tensor.array(of: Float.self))
      }
    }
  }

  @Test func publishedFilesLoadDirectly() throws {
    let folder = try TemporaryFolder()
    let mixer = try filled("mixer_s16_224")
    try NumpyArchive.write(
      Mixer.foreignLayouts[0].exported(state(mixer)), to: folder("Mixer-S_16.npz"))
    let settings = ["image_size": "32", "patch_size": "8", "depth": "2", "dim": "32"]
    let options = LoadOptions(
      model: "mixer_s16_224", settings: settings.merging(["classes": "5"]) { $1 })
    let loaded = try ModelCheckpoint.load(folder("Mixer-S_16.npz"), options)
    #expect(
      loaded.model.logits(images).array(of: Float.self)
        == mixer.logits(images).array(of: Float.self))
  }

  /// A checkpoint as Meta's training program saves it, from a data-parallel model.
  @Test func pyTorchsFilesLoadDirectly() throws {
    let folder = try TemporaryFolder()
    let model = try filled("resmlp_12_224")
    let tensors = try ResMLP.foreignLayouts[0].exported(state(model))
    let saved = tensors.sorted { $0.key < $1.key }.map { ("module.\($0.key)", $0.value) }
    let file = PyTorchFile(saved, isLegacy: true) { weights in
      .named([
        ("model", weights), ("epoch", .int(399)),
        ("args", .object(.global("argparse", "Namespace"), [(.text("lr"), .real(5e-3))])),
      ])
    }
    try folder.write(file.legacy, to: "resmlp_12_no_dist.pth")
    let settings = ["image_size": "32", "patch_size": "8", "depth": "2", "dim": "32"]
    let options = LoadOptions(
      model: "resmlp_12_224", settings: settings.merging(["classes": "5"]) { $1 })
    let loaded = try ModelCheckpoint.load(folder("resmlp_12_no_dist.pth"), options)
    #expect(
      loaded.model.logits(images).array(of: Float.self)
        == model.logits(images).array(of: Float.self))
  }

  /// Old files, as torchvision's first, have no counters beside the running statistics.
  @Test func filesWithoutCountersLoad() throws {
    let folder = try TemporaryFolder()
    let settings = ["image_size": "32", "depths": "1,1,1,1", "dims": "4,4,4,4", "classes": "5"]
    let model = try ModelRegistry.entry("resnet18").visionModel(
      settings: settings, generator: Generator(seed: 1))
    let all = state(model)
    let old = all.filter { !$0.key.hasSuffix("num_batches_tracked") }
    let options = LoadOptions(model: "resnet18", settings: settings)
    try Safetensors.write(old, metadata: [:], to: folder("old.safetensors"))
    let loaded = try ModelCheckpoint.load(folder("old.safetensors"), options)
    #expect(
      loaded.model.logits(images).array(of: Float.self)
        == model.logits(images).array(of: Float.self))

    let damaged = all.filter { $0.key != "layer2.0.bn1.num_batches_tracked" }
    try Safetensors.write(damaged, metadata: [:], to: folder("damaged.safetensors"))
    let error = #expect(throws: MingleError.self) {
      try ModelCheckpoint.load(folder("damaged.safetensors"), options)
    }
    #expect(error?.description.contains("1 missing") == true)
  }

  @Test func unknownKeysOfALayoutAreErrors() {
    let error = #expect(throws: MingleError.self) {
      try Mixer.foreignLayouts[0].imported(["MixerBlock_0/attention/kernel": .zeros([1])])
    }
    #expect(error?.description.contains("MixerBlock_0/attention/kernel") == true)
  }

  @Test(arguments: ["mixer_s16_224", "gmlp_s16_224", "resmlp_12_224", "resmlp_12_class_mlp_224"])
  func otherImageSizesAreRefusedOrInterpolated(_ name: String) throws {
    let folder = try TemporaryFolder()
    let model = try filled(name)
    let entry = try ModelRegistry.entry(name)
    try ModelCheckpoint(name: name, model: model, preprocessing: #require(entry.preprocessing))
      .write(to: folder("model.safetensors"))
    let path = folder("model.safetensors")
    let error = #expect(throws: MingleError.self) {
      try ModelCheckpoint.load(path, LoadOptions(settings: ["image_size": "64"]))
    }
    #expect(error?.description.contains("4x4 tokens (image size 32)") == true)
    #expect(error?.description.contains("has 8x8") == true)
    #expect(error?.next?.contains("--resize-tokens") == true)

    // A constant image has the same tokens at any size: the features must hardly change.
    let larger = try ModelCheckpoint.load(
      path, LoadOptions(settings: ["image_size": "64"], resizeTokens: .interpolate)
    ).model
    let before = model.features(.ones([1, 3, 32, 32])).array(of: Float.self)
    let after = larger.features(.ones([1, 3, 64, 64])).array(of: Float.self)
    let difference = zip(before, after).map { abs($0 - $1) }.max() ?? 1
    let largest = before.map(abs).max() ?? 0
    #expect(difference < 0.25 * largest, "\(difference) of \(largest)")

    // The same size again is the same function.
    let same = try ModelCheckpoint.load(path, LoadOptions(resizeTokens: .interpolate)).model
    #expect(
      same.logits(images).array(of: Float.self) == model.logits(images).array(of: Float.self))
  }

  /// As many tokens in another grid are other weights.
  @Test func otherGridsOfTheSameAreaAreRefusedOrInterpolated() throws {
    let folder = try TemporaryFolder()
    let path = folder("model.safetensors")
    let model = try filled("gmlp_s16_224")
    try ModelCheckpoint(
      name: "gmlp_s16_224", model: model, preprocessing: Preprocessing(imageSize: 32)
    ).write(to: path)
    let settings = ["image_size": "16x64"]
    let error = #expect(throws: MingleError.self) {
      try ModelCheckpoint.load(path, LoadOptions(settings: settings))
    }
    #expect(error?.description.contains("4x4 tokens (image size 32)") == true)
    #expect(error?.description.contains("16x64 has 2x8") == true)
    let wide = try ModelCheckpoint.load(
      path, LoadOptions(settings: settings, resizeTokens: .interpolate)
    ).model
    #expect(wide.tokenGrid == ImageSize(2, 8))
    let key = "blocks.0.mlp_channels.gate.proj.weight"
    let (before, after) = (try #require(state(model)[key]), try #require(state(wide)[key]))
    #expect(before.shape == after.shape)
    #expect(before.array(of: Float.self) != after.array(of: Float.self))
  }

  /// Each part of a picture of `2 x 2` parts is mixed by itself: four pictures side by side have the
  /// mean of their own features.
  @Test func blockDiagonalMixersSeeEachPartByItself() throws {
    let mixer = try #require(try filled("mixer_s16_224") as? Mixer)
    let larger = try mixer.enlarged(by: 2)
    #expect(larger.configuration.imageSize == 64)
    let parts = (0..<4).map {
      Tensor.normal([1, 3, 32, 32], generator: Generator(seed: UInt64($0)))
    }
    let rows = [0, 2].map { Tensor.concatenated([parts[$0], parts[$0 + 1]], dimension: 3) }
    let picture = Tensor.concatenated(rows, dimension: 2)
    let expected = parts.map { mixer.features($0) }.reduce(Tensor.zeros([1, 32])) { $0 + $1 } / 4
    let difference = (larger.features(picture) - expected).abs().max().item
    #expect(difference < 1e-5)
  }

  /// The hidden width is truncated as in timm: 0.3 * 6 is 1, whose four copies are 4, not 7.
  @Test(arguments: [("0.3", "6"), ("0.7", "10"), ("1.1", "49"), ("0.5", "32")])
  func blockDiagonalWidthsAreWholeCopies(_ ratio: String, _ dim: String) throws {
    let mixer = try #require(
      try filled("mixer_s16_224", ["token_mlp_ratio": ratio, "dim": dim]) as? Mixer)
    let key = "blocks.0.mlp_tokens.fc1.bias"
    let width = try #require(state(mixer)[key]).count
    for factor in 1...3 {
      let larger = try mixer.enlarged(by: factor)
      #expect(state(larger)[key]?.count == factor * factor * width)
    }
  }

  @Test func filesThatDoNotFitSayWhy() throws {
    let folder = try TemporaryFolder()
    let model = try filled("gmlp_s16_224")
    var tensors = state(model)
    try Safetensors.write(tensors, to: folder("plain.safetensors"))
    func message(_ file: String, _ options: LoadOptions) -> String {
      let error = #expect(throws: MingleError.self) {
        try ModelCheckpoint.load(folder(file), options)
      }
      return error?.description ?? ""
    }
    let settings = ["image_size": "32", "patch_size": "8", "depth": "2", "dim": "32"]
    #expect(message("plain.safetensors", LoadOptions()).contains("--model"))
    let wrongClasses = LoadOptions(model: "gmlp_s16_224", settings: settings)
    #expect(message("plain.safetensors", wrongClasses).contains("head.weight: expected [1000, 32]"))
    tensors["blocks.0.mlp_channels.fc1.wieght"] = tensors.removeValue(
      forKey: "blocks.0.mlp_channels.fc1.weight")
    try Safetensors.write(tensors, to: folder("typo.safetensors"))
    let options = LoadOptions(
      model: "gmlp_s16_224", settings: settings.merging(["classes": "5"]) { $1 })
    #expect(
      message("typo.safetensors", options).contains(
        "nearest 'blocks.0.mlp_channels.fc1.wieght'"))
    #expect(message("missing.safetensors", options).contains("missing.safetensors"))
  }
}
