import Layers
import Torch

/// The settings of an image classifier, encoded with the field names of the command line's `--set`.
public protocol VisionConfiguration: ModelConfiguration {
  /// Height and width of the input in pixels.
  var imageSize: ImageSize { get set }
  /// 3 for colour, 1 for gray.
  var inputChannels: Int { get set }
  var classes: Int { get set }
}

/// A named part of a model's way from its input to its features.
public struct Stage {
  /// The checkpoint prefix of the part: "stem", "blocks.0", "norm".
  public let name: String
  private let blocks: [(Tensor) -> Tensor]

  init(_ name: String, _ run: @escaping (Tensor) -> Tensor) { self.init(name, blocks: [run]) }

  /// A part of several blocks, one after the other; activation checkpointing keeps the input of each.
  init(_ name: String, blocks: [(Tensor) -> Tensor]) {
    self.name = name
    self.blocks = blocks
  }

  func run(_ x: Tensor) -> Tensor { blocks.reduce(x) { checkpointed($0, $1) } }
}

/// An image classifier: stages one after the other, pooling, and a linear head.
public protocol VisionModel: Model where Configuration: VisionConfiguration {
  /// The dimensions of the weight `key` that run over tokens; none where images may have any size.
  static func tokenAxes(of key: String) -> [TokenAxis]
  /// The checkpoint key of the classifier.
  static var headKey: String { get }

  /// Height and width of the grid of tokens that the weights are for; nil where they fix no size.
  var tokenGrid: ImageSize? { get }
  /// From images [B, I, H, W] to the last map, in order.
  var stages: [Stage] { get }
  /// The classifier.
  var head: Linear { get }

  /// The last map as one vector for each image: [B, S, C] or [B, C, H, W] -> [B, C].
  func pool(_ x: Tensor) -> Tensor
  /// The vector that enters the classifier: [B, I, H, W] -> [B, C]; the pooled output of the last
  /// stage unless the model says otherwise.
  func features(_ images: Tensor) -> Tensor
}

extension VisionModel {
  public static func tokenAxes(of key: String) -> [TokenAxis] { [] }
  public static var headKey: String { "head" }
  public var tokenGrid: ImageSize? { nil }

  /// Whether the weight `key` is one of the classifier's.
  static func isHead(_ key: String) -> Bool { key.hasPrefix(headKey + ".") }

  public func features(_ images: Tensor) -> Tensor {
    pool(stages.reduce(images) { x, stage in stage.run(x) })
  }

  /// One number for each class: [B, I, H, W] -> [B, K].
  public func logits(_ images: Tensor) -> Tensor {
    let (size, shape) = (configuration.imageSize, images.shape)
    precondition(
      shape.count == 4 && shape[1] == configuration.inputChannels
        && (tokenGrid == nil || Array(shape[2...]) == [size.height, size.width]),
      "\(Self.self) takes images [B, \(configuration.inputChannels), \(size.height), "
        + "\(size.width)], got \(images)")
    return head(features(images))
  }

  /// The outputs of the named stages, in the order of the names.
  ///
  /// - Throws: `MingleError` for a name that is no stage.
  public func intermediates(_ images: Tensor, at names: [String]) throws -> [Tensor] {
    try outputs(of: stages, at: names, from: images)
  }

  /// The same network with a new head for `classCount` classes.
  ///
  /// - Parameter generator: draws the head's first weights.
  public func replacingHead(classCount: Int, generator: Generator) throws -> Self {
    var configuration = configuration
    configuration.classes = classCount
    let model = try Self(configuration, generator: generator)
    let kept = state.filter { !Self.isHead($0.name) }
    let head = model.state.filter { Self.isHead($0.name) }
    try model.load(Dictionary(uniqueKeysWithValues: (kept + head).map { ($0.name, $0.tensor) }))
    return model
  }

  /// What each layer computes for one image: name, output shape, parameters, multiply-adds.
  public func summary() -> [LayerSummary] {
    let size = configuration.imageSize
    let image = Tensor.zeros(
      [1, configuration.inputChannels, size.height, size.width], device: head.weight.tensor.device)
    return Trace.summarize(self) { _ = logits(image) }
  }
}

extension VisionConfiguration {
  /// Checks the fields that every family has.
  func validateCommonFields() throws {
    try requireField("input_channels", inputChannels, in: 1...1024)
    try requireField("classes", classes, in: 1...1_000_000)
    try requireField("image_size", max(imageSize.height, imageSize.width), in: 1...16_384)
  }

  /// The grid of patches.
  ///
  /// - Throws: `MingleError` unless the patches tile the image; names the nearest size that they do.
  func grid(patch: ImageSize) throws -> ImageSize {
    guard imageSize.height % patch.height == 0, imageSize.width % patch.width == 0 else {
      let good = ImageSize(
        max(1, (imageSize.height + patch.height / 2) / patch.height) * patch.height,
        max(1, (imageSize.width + patch.width / 2) / patch.width) * patch.width)
      throw MingleError(
        .usage, "patch_size \(patch) must divide image_size", got: "\(imageSize)",
        next: "the nearest size is \(good)")
    }
    return ImageSize(imageSize.height / patch.height, imageSize.width / patch.width)
  }
}
