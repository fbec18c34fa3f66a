import Layers
import Models
import TestSupport
import Testing
import Torch

/// AS-MLP and its shift.
@Suite(.serialized) @TorchActor struct ASMLPTests {
  @Test(arguments: [
    ("asmlp_tiny", "as_mlp_tiny_224"), ("asmlp_small", "as_mlp_small_224"),
    ("asmlp_base", "as_mlp_base_224"),
  ]) func registeredModelEqualsReference(_ fixture: String, _ name: String) throws {
    try Fixture.load(fixture).check(ModelRegistry.entry(name).visionModel(generator: nil))
  }

  @Test func tinyOnAWideImageEqualsReference() throws {
    let configuration = ASMLPConfiguration.tiny.with { $0.imageSize = ImageSize(192, 256) }
    try Fixture.load("asmlp_tiny_192x256").check(ASMLP(configuration, generator: nil))
  }

  @Test func smallModelEqualsReference() throws {
    let configuration = ASMLPConfiguration(depths: [1, 1, 2, 1], dim: 24).with {
      $0.imageSize = 64
      $0.classes = 10
    }
    try Fixture.load("asmlp_test").check(ASMLP(configuration, generator: nil))
  }

  /// 16 channels make four groups.
  @Test func modelWithFewChannelsEqualsReference() throws {
    let configuration = ASMLPConfiguration(depths: [1, 2], dim: 16).with {
      $0.imageSize = ImageSize(64, 96)
      $0.classes = 10
    }
    try Fixture.load("asmlp_test_64x96_c16").check(ASMLP(configuration, generator: nil))
  }

  @Test func channelsFallIntoGroups() {
    let shift = ChannelShift(axis: 3, size: 5)
    #expect(shift.groups(of: 96).map(\.channels.count) == [20, 20, 20, 20, 16])
    #expect(shift.groups(of: 96).map(\.offset) == [-2, -1, 0, 1, 2])
    #expect(shift.groups(of: 16).map(\.channels) == [0..<4, 4..<8, 8..<12, 12..<16])
    #expect(shift.groups(of: 16).map(\.offset) == [-2, -1, 0, 1])
    #expect(shift.groups(of: 3).map(\.channels.count) == [1, 1, 1])
    let wide = ChannelShift(axis: 2, size: 3, dilation: 4)
    #expect(wide.groups(of: 7).map(\.channels.count) == [3, 3, 1])
    #expect(wide.groups(of: 7).map(\.offset) == [-4, 0, 4])
  }

  /// The shift, and the gradient of its input, element by element.
  @Test(arguments: PaddingMode.allCases, [2, 3]) func shiftFollowsItsFormula(
    _ padding: PaddingMode, _ axis: Int
  ) throws {
    for shape in [[2, 7, 5, 3], [1, 16, 4, 6], [3, 3, 1, 2], [1, 5, 7, 7]] {
      for (size, dilation) in [(1, 1), (3, 1), (3, 2), (5, 1), (5, 3), (7, 2)] {
        let (channels, length) = (shape[1], shape[axis])
        if padding == .reflect && size / 2 * dilation >= length { continue }
        let x = Tensor.normal(shape, generator: Generator(seed: 1))
        let cotangent = Tensor.normal(shape, generator: Generator(seed: 2))
        x.setRequiresGradient(true)
        let shift = ChannelShift(axis: axis, size: size, dilation: dilation, padding: padding)
        let y = shift(x)
        let gradient = try #require(
          gradients(of: [y], cotangents: [cotangent], withRespectTo: [x])[0])

        let (input, output) = (x.array(of: Float.self), cotangent.array(of: Float.self))
        var wanted = [Float](repeating: 0, count: input.count)
        var adjoint = wanted
        let width = (channels + size - 1) / size
        let step = axis == 3 ? 1 : shape[3]
        for index in input.indices {
          let channel = index / (shape[2] * shape[3]) % channels
          let position = index / step % length
          let moved = position - (channel / width - size / 2) * dilation
          guard let source = source(of: moved, length, padding) else { continue }
          wanted[index] = input[index + (source - position) * step]
          adjoint[index + (source - position) * step] += output[index]
        }
        #expect(y.array(of: Float.self) == wanted, "\(shape) \(size) \(dilation)")
        let found = gradient.array(of: Float.self)
        #expect(
          zip(found, adjoint).allSatisfy { abs($0 - $1) < 1e-5 }, "\(shape) \(size) \(dilation)")
      }
    }
  }

  /// The paddings by words: which element a row shows at `position`.
  private func source(of position: Int, _ length: Int, _ padding: PaddingMode) -> Int? {
    if (0..<length).contains(position) { return position }
    var (position, isBelow) = (position, position < 0)
    switch padding {
    case .zero: return nil
    case .replicate: return isBelow ? 0 : length - 1
    case .circular:
      while !(0..<length).contains(position) { position += isBelow ? length : -length }
      return position
    case .reflect:
      return isBelow ? -position : length - 1 - (position - (length - 1))
    }
  }

  /// Views and gradients that are views give the same as copies.
  @Test func shiftTakesViews() throws {
    let base = Tensor.normal([2, 4, 6, 10], generator: Generator(seed: 1))
    let shift = ChannelShift(axis: 2, size: 3, padding: .replicate)
    let view = base.transposed(1, 3)
    #expect(shift(view).array(of: Float.self) == shift(view.contiguous()).array(of: Float.self))
    let x = Tensor.normal([2, 4, 6, 10], generator: Generator(seed: 2))
    x.setRequiresGradient(true)
    let views = gradients(
      of: [shift(x)], cotangents: [base.narrowed(3, 0..<1).expanded([2, 4, 6, 10])],
      withRespectTo: [x])
    let copies = gradients(
      of: [shift(x)],
      cotangents: [base.narrowed(3, 0..<1).expanded([2, 4, 6, 10]).contiguous()],
      withRespectTo: [x])
    #expect(
      try #require(views[0]).array(of: Float.self) == #require(copies[0]).array(of: Float.self))
  }

  /// With circular padding nothing tells where an image begins.
  @Test func circularModelDoesNotSeeTranslations() throws {
    let configuration = ASMLPConfiguration(depths: [1, 1, 1], dim: 8).with {
      $0.imageSize = ImageSize(48, 64)
      $0.classes = 4
    }
    func change(_ padding: PaddingMode) throws -> Double {
      let model = try ASMLP(
        configuration.with { $0.padding = padding }, generator: Generator(seed: 1))
      let x = Tensor.normal([2, 3, 48, 64], generator: Generator(seed: 2))
      let rolled = Tensor.concatenated(
        [x.narrowed(3, 16..<64), x.narrowed(3, 0..<16)], dimension: 3)
      let features = model.features(x)
      return (features - model.features(rolled)).norm().item / features.norm().item
    }
    #expect(try change(.circular) < 1e-5)
    #expect(try change(.zero) > 1e-3)
    #expect(try change(.reflect) > 1e-3)
  }

  /// Any size that the merges can halve, whatever the configuration names.
  @Test func otherImageSizesRun() throws {
    let configuration = ASMLPConfiguration(depths: [1, 1], dim: 8).with { $0.classes = 3 }
    for padding in PaddingMode.allCases {
      let model = try ASMLP(
        configuration.with {
          $0.padding = padding
          $0.dilation = 2
        }, generator: Generator(seed: 1))
      let images = Tensor.normal([1, 3, 40, 56], generator: Generator(seed: 2))
      #expect(model.logits(images).isFinite().all().item == 1)
    }
  }

  @Test func partsCanBeLeftOut() throws {
    let configuration = ASMLPConfiguration(depths: [1, 1], dim: 8).with {
      $0.imageSize = 32
      $0.patchNorm = false
      $0.axialShiftBias = false
    }
    let keys = try ASMLP(configuration, generator: nil).state.map(\.name)
    #expect(!keys.contains { $0.hasPrefix("patch_embed.norm") })
    #expect(keys.contains("layers.0.blocks.0.axial_shift.conv2_1.weight"))
    #expect(!keys.contains { $0.contains("axial_shift.conv") && $0.hasSuffix("bias") })
  }
}
