import Foundation
import Layers
import Models
import TestSupport
import Testing
import Torch

/// Swin Transformers are those of timm.
@Suite(.serialized) @TorchActor struct SwinTests {
  @Test func registeredModelEqualsReference() throws {
    let name = "swin_tiny_patch4_window7_224"
    try Fixture.load(name).check(
      ModelRegistry.entry(name).visionModel(generator: nil), logits: 1e-5, gradients: 1e-4)
  }

  private static let small = SwinConfiguration(depths: [2, 2], dim: 24, heads: [2, 4]).with {
    $0.imageSize = 64
    $0.windowSize = [4]
    $0.classes = 10
  }

  @Test func smallModelEqualsReference() throws {
    try Fixture.load("swin_test").check(
      Swin(Self.small, generator: nil), logits: 1e-5, gradients: 1e-4)
  }

  private struct SizeCase: Decodable {
    let settings: [String: String]
    let inputShape: [Int]
    let logits: [Double]
  }

  /// Maps that neither windows nor 2 x 2 tokens tile, and windows that are not square, as
  /// Tools/fixtures/swin_sizes.py evaluates them.
  @Test func anySizeEqualsAPlainEvaluation() throws {
    let url = try #require(
      Bundle.module.url(
        forResource: "swin_sizes", withExtension: "json", subdirectory: "Fixtures"))
    let cases = try JSONDecoder().decode([SizeCase].self, from: Data(contentsOf: url))
    for item in cases {
      let model = try ModelRegistry.entry("swin_tiny_patch4_window7_224").visionModel(
        settings: item.settings, generator: nil)
      let filled = model.state.map { ($0.name, Fill.parameter($0.name, $0.tensor.shape)) }
      try model.load(Dictionary(uniqueKeysWithValues: filled))
      let input = Fill.raw("input", item.inputShape)
      let learning = model.logits(input).array(of: Double.self)
      let fixed = withoutGradients { model.logits(input).array(of: Double.self) }
      for ((a, b), wanted) in zip(zip(learning, fixed), item.logits) {
        #expect(abs(a - wanted) < 1e-5, "\(item.settings)")
        #expect(abs(b - wanted) < 1e-5, "\(item.settings)")
      }
    }
  }

  private func images(_ height: Int, _ width: Int, seed: UInt64 = 1, count: Int = 2) -> Tensor {
    .normal([count, 3, height, width], generator: Generator(seed: seed))
  }

  private func distance(_ a: Tensor, _ b: Tensor) -> Double { (a - b).abs().max().item }

  /// A window that the map does not fill is as large as the map along that side, and not shifted.
  @Test(arguments: [
    ("32x48", "7", [169, 77]), ("16x64", "3x1", [5, 3]), ("4", "7", [1, 1]),
    ("36x20", "7x5", [117, 45]), ("4x60", "3", [5, 5]),
  ]) func anyMapFits(_ size: String, _ window: String, _ tables: [Int]) throws {
    let model = try ModelRegistry.entry("swin_tiny_patch4_window7_224").visionModel(
      settings: [
        "image_size": size, "depths": "2,2", "heads": "2,4", "dim": "16", "window_size": window,
        "classes": "3",
      ], generator: Generator(seed: 1))
    let found = model.state.filter {
      $0.name.hasSuffix("blocks.1.attn.relative_position_bias_table")
    }
    #expect(found.map { $0.tensor.shape[0] } == tables)
    let pixels = try ImageSize(parsing: size)
    #expect(model.logits(images(pixels.height, pixels.width)).shape == [2, 3])
  }

  /// What one image's logits are does not depend on the others of the batch, nor on which of
  /// libtorch's paths a batch of one takes.
  @Test func imagesAreIndependent() throws {
    let model = try Swin(Self.small, generator: Generator(seed: 1))
    let batch = images(64, 64, count: 3)
    let one = withoutGradients { model.logits(batch.narrowed(0, 1..<2)) }
    #expect(distance(one, model.logits(batch).narrowed(0, 1..<2)) < 1e-5)
  }

  /// An image that is far from a change does not feel it in the first block, and the neighbours in
  /// the next window do in the second, whose windows are shifted.
  @Test func shiftedWindowsConnectNeighbours() throws {
    let model = try Swin(
      Self.small.with {
        $0.depths = [2]
        $0.heads = [2]
      }, generator: Generator(seed: 1))
    let image = images(64, 64, count: 1)
    let other = image.cloned()
    _ = other.narrowed(2, 0..<4).narrowed(3, 0..<4).fillInPlace(0)  // the token at (0, 0)
    func map(_ images: Tensor) throws -> Tensor {
      try model.intermediates(images, at: ["layers.0"])[0]  // [1, 16, 16, C]
    }
    let change = (try map(image) - map(other)).abs().sum([0, 3])
    let changed = change.greater(1e-6).to(.int64)
    // The first window of 4 x 4 feels it; through it the shifted windows that touch it do, which
    // end at 6; (0, 0) itself went to the last corner, where nobody was its neighbour.
    let wanted = (0..<16).flatMap { row in (0..<16).map { row < 6 && $0 < 6 ? 1 : 0 } }
    #expect(changed.array(of: Int.self) == wanted)
  }

  /// With `always_partition` no weight depends on the image size.
  @Test func fullWindowsFitAnySize() throws {
    let configuration = Self.small.with { $0.alwaysPartition = true }
    let model = try Swin(configuration, generator: Generator(seed: 1))
    let smaller = try Swin(
      configuration.with { $0.imageSize = ImageSize(20, 12) }, generator: nil)
    try smaller.load(Dictionary(uniqueKeysWithValues: model.state.map { ($0.name, $0.tensor) }))
    let few = images(20, 12)
    #expect(distance(model.logits(few), smaller.logits(few)) == 0)
  }

  @Test(arguments: [
    (["depths": "2,2"], "heads needs one value for each stage"), (["depths": ""], "depths"),
    (["depths": "2,2,0,2"], "depths is out of range"), (["heads": "3,6,12,25"], "is 24"),
    (["window_size": "0"], "not a size"), (["window_size": "7,7"], "window_size needs"),
    (["window_size": "65"], "window_size is out of range"),
    (["image_size": "223"], "the nearest size is 224"), (["dim": "-96"], "dim is out of range"),
  ]) func wrongSettingsAreErrors(_ settings: [String: String], _ part: String) {
    let error = #expect(throws: MingleError.self) {
      try ModelRegistry.entry("swin_tiny_patch4_window7_224").visionModel(
        settings: settings, generator: nil)
    }
    #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
  }
}
