import Layers
import Models
import TestSupport
import Testing
import Torch

/// NFNets are timm's, with DeepMind's weights' settings.
@Suite(.serialized) @TorchActor struct NFNetTests {
  private let small = NFNetConfiguration.f0.with {
    $0.imageSize = 64
    $0.classes = 10
    $0.depths = [1, 1, 2, 1]
    $0.dims = [32, 48, 64, 64]
    $0.groupSize = 8
    $0.stemDim = 16
    $0.featureDim = 128
  }

  @Test func smallNetworkEqualsReference() throws {
    try Fixture.load("dm_nfnet_test").check(
      NFNet(small, generator: nil), logits: 1e-5, gradients: 1e-4)
  }

  @Test func registeredNetworkEqualsReference() throws {
    try Fixture.load("dm_nfnet_f0").check(NFNet(.f0, generator: nil), logits: 1e-5)
  }

  /// Zeros are added below and on the right until strides tile the image.
  @Test(arguments: [1, 2, 5, 33, 48]) func anySizeWillDo(_ side: Int) throws {
    let configuration = small.with { $0.imageSize = ImageSize(side, side + 3) }
    let model = try NFNet(configuration, generator: Generator(seed: 0))
    let images = Tensor.normal([2, 3, side, side + 3], generator: Generator(seed: 1))
    #expect(model.logits(images).array(of: Float.self).allSatisfy { $0.isFinite })
    func sides(_ stride: Int) -> [Int] {
      [(side + stride - 1) / stride, (side + 3 + stride - 1) / stride]
    }
    let maps = try model.intermediates(images, at: ["stem", "stages.1", "final_conv"])
    #expect(maps.map { Array($0.shape[2...]) } == [sides(4), sides(8), sides(32)])
  }

  /// Neither the weights' mean nor their size matters.
  @Test func weightsAreStandardized() throws {
    let model = try NFNet(small.with { $0.normEpsilon = 0 }, generator: Generator(seed: 0))
    let images = Tensor.normal([2, 3, 64, 64], generator: Generator(seed: 1))
    let before = model.logits(images)
    withoutGradients {
      for (name, parameter) in model.namedParameters
      where name.contains("conv") && name.hasSuffix("weight") {
        parameter.tensor.multiplyInPlace(3).addInPlace(0.5)
      }
    }
    let difference = (model.logits(images) - before).abs().max().item
    #expect(difference < 1e-4 * before.abs().max().item)
  }

  /// A new network is its shortcuts.
  @Test func branchesStartAtZero() throws {
    let model = try NFNet(small, generator: Generator(seed: 0))
    let images = Tensor.normal([2, 3, 64, 64], generator: Generator(seed: 1))
    let before = model.logits(images).array(of: Float.self)
    withoutGradients {
      for (name, parameter) in model.namedParameters where name.contains("attn_last") {
        parameter.tensor.addInPlace(1)
      }
    }
    #expect(model.logits(images).array(of: Float.self) == before)
  }

  @Test func settingsChangeShapes() throws {
    let entry = try ModelRegistry.entry("dm_nfnet_f0")
    let model = try entry.visionModel(
      settings: [
        "depths": "1,1", "dims": "64,100", "width_multiplier": "0.5", "group_size": "0",
        "extra_convolution": "false", "bottleneck_ratio": "0.25", "squeeze_ratio": "0.3",
        "feature_dim": "60", "input_channels": "1", "activation": "silu", "classes": "4",
      ], generator: Generator(seed: 0))
    let shapes = Dictionary(
      uniqueKeysWithValues: model.namedParameters.map { ($0.name, $0.parameter.tensor.shape) })
    #expect(shapes["stages.1.0.conv3.weight"] == [48, 16, 1, 1])
    #expect(shapes["stages.1.0.conv2.weight"] == [16, 16, 3, 3])
    #expect(shapes["stages.1.0.conv2b.weight"] == nil)
    #expect(shapes["stages.1.0.attn_last.fc1.weight"] == [16, 48, 1, 1])
    #expect(shapes["final_conv.weight"] == [32, 48, 1, 1])
    #expect(shapes["head.fc.weight"] == [4, 32])
  }

  @Test(arguments: [
    (["group_size": "100"], "the nearest is 104"),
    (["group_size": "200"], "the nearest is 128"),
    (["group_size": "-1"], "group_size is out of range"),
    (["dims": "256,512"], "dims needs one value for each stage"),
    (["depths": "1,2,0,3"], "depths is out of range"),
    (["bottleneck_ratio": "0"], "bottleneck_ratio is out of range"),
    (["alpha": "-0.5"], "alpha is out of range"),
    (["classes": "0"], "classes is out of range"),
  ]) func wrongSettingsAreErrors(_ settings: [String: String], _ part: String) throws {
    let error = #expect(throws: MingleError.self) {
      try ModelRegistry.entry("dm_nfnet_f0").visionModel(settings: settings, generator: nil)
    }
    #expect(error?.kind == .usage)
    #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
  }
}
