import Layers
import Models
import TestSupport
import Testing
import Torch

/// ResNet is timm's.
@Suite(.serialized) @TorchActor struct ResNetTests {
  /// At 224 some ReLU and pooling decisions of the first layers fall within rounding: float32 and
  /// float64 differ by 5e-4 there, so the gradients may by ten times that.
  @Test(arguments: [("resnet18", 224), ("resnet50", 224), ("resnet18", 96), ("resnet50", 96)])
  func registeredModelEqualsReference(_ name: String, _ side: Int) throws {
    let model = try ModelRegistry.entry(name)
      .visionModel(settings: ["image_size": "\(side)"], generator: nil)
    let fixture = try Fixture.load(side == 224 ? name : "\(name)_img\(side)")
    try fixture.check(model, gradients: side == 224 ? 5e-3 : 1e-3)
  }

  nonisolated private static let basic = ResNetConfiguration(.basic, depths: [1, 1, 1, 1]).with {
    $0.dims = [16, 24, 32, 48]
    $0.imageSize = 64
    $0.classes = 10
  }
  nonisolated private static let bottleneck = ResNetConfiguration(
    .bottleneck, depths: [1, 2, 1, 1]
  ).with {
    $0.dims = [8, 16, 16, 24]
    $0.imageSize = 64
    $0.classes = 10
  }

  @Test(arguments: ["", "_train"]) func smallModelsEqualReference(_ mode: String) throws {
    try Fixture.load("resnet_test" + mode).check(ResNet(Self.basic, generator: nil))
    try Fixture.load("resnet_bottleneck_test" + mode).check(ResNet(Self.bottleneck, generator: nil))
  }

  /// A branch's last gain starts at 0, so that the block passes its input on.
  @Test(arguments: [basic, bottleneck])
  func blocksStartAsTheIdentity(_ configuration: ResNetConfiguration) throws {
    let model = try ResNet(configuration, generator: Generator(seed: 1))
    for (name, module) in model.namedModules {
      guard let block = module as? ResNetBlock else { continue }
      let keys = block.state.map(\.name)
      let last = keys.contains("bn3.weight") ? "bn3.weight" : "bn2.weight"
      let gains = block.state.filter { $0.name.hasSuffix("weight") && $0.tensor.rank == 1 }
      for (key, gain) in gains {
        #expect(gain.sum().item == (key == last ? 0 : Double(gain.count)), "\(name).\(key)")
      }
    }
  }

  /// Convolutions start with the variance 2 / fan-out.
  @Test func weightsStartAsInTimm() throws {
    let model = try ResNet(.layers18, generator: Generator(seed: 1))
    let state = Dictionary(uniqueKeysWithValues: model.state.map { ($0.name, $0.tensor) })
    for (key, fanOut) in [
      ("conv1", 64 * 49), ("layer2.0.downsample.0", 128), ("layer4.0.conv1", 4608),
    ] {
      let weight = try #require(state[key + ".weight"])
      let variance = (weight * weight).mean().item * Double(fanOut) / 2
      #expect(abs(variance - 1) < 0.1, "\(key)")
    }
  }

  /// Images of any size run, also those of a single pixel.
  @Test func anyImageSizeRuns() throws {
    for size in [ImageSize(1), ImageSize(33, 18), ImageSize(7, 224)] {
      let model = try ResNet(
        Self.bottleneck.with { $0.imageSize = size }, generator: Generator(seed: 1))
      let images = Tensor.normal([2, 3, size.height, size.width], generator: Generator(seed: 2))
      #expect(model.logits(images).isFinite().all().item == 1)
      model.setMode(.training(Generator(seed: 3)))
      #expect(model.logits(images).isFinite().all().item == 1)
    }
  }
}
