import Torch

/// What training does to pictures so that a model does not see the same one twice; off by default.
///
/// Order: crop, flip, RandAugment, colour jitter, normalisation, erasing; then, over the whole
/// batch, Mixup or CutMix.
public struct Augmentation: Codable, Hashable, Sendable {
  /// A random part of the picture, resized to the model's size; nil: the centre crop of evaluation.
  public var randomResizedCrop: RandomResizedCrop?
  /// Black pixels added on each side before a random window of the old size is cut (4 for CIFAR).
  public var padding = 0
  /// Probability of exchanging left and right.
  public var horizontalFlip = 0.0
  /// Random brightness, contrast, saturation and hue; nil for none.
  public var colorJitter: ColorJitter?
  /// Some operations at random, of one strength; nil for none.
  public var randAugment: RandAugment?
  /// Probability of filling a random rectangle with noise.
  public var randomErasing = 0.0
  /// Mixup's alpha: pictures and targets of two samples are blended, weights from Beta(alpha, alpha).
  public var mixup = 0.0
  /// CutMix's alpha: a rectangle comes from another sample. With both, each batch draws one of them.
  public var cutMix = 0.0
  /// The share of the target spread evenly over all classes.
  public var labelSmoothing = 0.0

  public init() {}

  /// Nothing at all.
  public static let none = Augmentation()

  /// Flip and mild crops: fine-tuning, small sets of photographs.
  public static let light: Augmentation = {
    var light = Augmentation()
    light.randomResizedCrop = RandomResizedCrop(scale: [0.5, 1])
    light.horizontalFlip = 0.5
    return light
  }()

  /// Flip and shifts by four pixels: pictures of 32 x 32 as CIFAR's.
  public static let small: Augmentation = {
    var small = Augmentation()
    small.padding = 4
    small.horizontalFlip = 0.5
    return small
  }()

  /// The recipe of DeiT (2012.12877), which ResMLP, AS-MLP, Hire-MLP and others follow.
  public static let strong: Augmentation = {
    var strong = Augmentation()
    strong.randomResizedCrop = RandomResizedCrop()
    strong.horizontalFlip = 0.5
    strong.randAugment = RandAugment()
    strong.randomErasing = 0.25
    strong.mixup = 0.8
    strong.cutMix = 1
    strong.labelSmoothing = 0.1
    return strong
  }()

  /// The presets by name.
  public static let presets: [String: Augmentation] = [
    "none": .none, "light": .light, "small": .small, "strong": .strong,
  ]

  /// Whether targets are probabilities over the classes instead of one class.
  public var hasSoftTargets: Bool { mixup > 0 || cutMix > 0 || labelSmoothing > 0 }
}

/// A random part of the picture: area and aspect ratio are drawn, then the place (1409.4842).
public struct RandomResizedCrop: Codable, Hashable, Sendable {
  /// Smallest and largest share of the picture's area.
  public var scale: [Double]
  /// Smallest and largest width / height, drawn on a logarithmic scale.
  public var ratio: [Double]

  public init(scale: [Double] = [0.08, 1], ratio: [Double] = [3.0 / 4, 4.0 / 3]) {
    self.scale = scale
    self.ratio = ratio
  }
}

/// Random factors in `1 - amount ... 1 + amount` (hue: a turn in `-amount ... amount` of the circle),
/// applied in random order.
public struct ColorJitter: Codable, Hashable, Sendable {
  /// The amount for brightness, 0 for none.
  public var brightness: Double
  /// The amount for contrast, 0 for none.
  public var contrast: Double
  /// The amount for saturation, 0 for none.
  public var saturation: Double
  /// The amount for hue, 0 for none, at most 0.5.
  public var hue: Double

  public init(
    brightness: Double = 0.4, contrast: Double = 0.4, saturation: Double = 0.4, hue: Double = 0
  ) {
    self.brightness = brightness
    self.contrast = contrast
    self.saturation = saturation
    self.hue = hue
  }
}

/// Random operations of a fixed strength (1909.13719).
public struct RandAugment: Codable, Hashable, Sendable {
  /// Operations for each picture.
  public var operations: Int
  /// Strength from 0 to 10, the scale that recipes write as `rand-m9`.
  public var magnitude: Double

  public init(operations: Int = 2, magnitude: Double = 9) {
    self.operations = operations
    self.magnitude = magnitude
  }
}

extension Augmentation {
  /// - Throws: `MingleError` (`usage`) that names the first value out of range.
  public func validate() throws {
    func check(_ name: String, _ value: Double, _ range: ClosedRange<Double>) throws {
      if range.contains(value) { return }
      throw MingleError(
        .usage, "\(name) is out of range", in: "augmentation",
        expected: "\(range.lowerBound) to \(range.upperBound)", got: "\(value)")
    }
    func check(_ name: String, _ pair: [Double], within range: ClosedRange<Double>) throws {
      if pair.count == 2, pair[0] <= pair[1], pair.allSatisfy(range.contains) { return }
      throw MingleError(
        .usage, "\(name) is not a range", in: "augmentation",
        expected: "two ascending numbers from \(range.lowerBound) to \(range.upperBound)",
        got: "\(pair)")
    }
    try check("padding", Double(padding), 0...1024)
    try check("horizontal_flip", horizontalFlip, 0...1)
    try check("random_erasing", randomErasing, 0...1)
    try check("mixup", mixup, 0...100)
    try check("cut_mix", cutMix, 0...100)
    try check("label_smoothing", labelSmoothing, 0...1)
    if let crop = randomResizedCrop {
      try check("random_resized_crop.scale", crop.scale, within: 1e-4...1)
      try check("random_resized_crop.ratio", crop.ratio, within: 0.01...100)
    }
    if let jitter = colorJitter {
      try check("color_jitter.brightness", jitter.brightness, 0...10)
      try check("color_jitter.contrast", jitter.contrast, 0...10)
      try check("color_jitter.saturation", jitter.saturation, 0...10)
      try check("color_jitter.hue", jitter.hue, 0...0.5)
    }
    if let random = randAugment {
      try check("rand_augment.operations", Double(random.operations), 0...100)
      try check("rand_augment.magnitude", random.magnitude, 0...10)
    }
  }
}

// MARK: Fields of recipes: a key that is not there keeps its default.

extension Augmentation {
  package static var fields: [Field<Augmentation>] {
    [
      Field("random_resized_crop", \.randomResizedCrop), Field("padding", \.padding),
      Field("horizontal_flip", \.horizontalFlip), Field("color_jitter", \.colorJitter),
      Field("rand_augment", \.randAugment), Field("random_erasing", \.randomErasing),
      Field("mixup", \.mixup), Field("cut_mix", \.cutMix),
      Field("label_smoothing", \.labelSmoothing),
    ]
  }

  public init(from decoder: any Decoder) throws {
    self.init()
    try Self.fields.read(into: &self, from: decoder)
  }

  public func encode(to encoder: any Encoder) throws { try Self.fields.write(self, to: encoder) }
}

extension RandomResizedCrop {
  package static var fields: [Field<RandomResizedCrop>] {
    [Field("scale", \.scale), Field("ratio", \.ratio)]
  }

  public init(from decoder: any Decoder) throws {
    self.init()
    try Self.fields.read(into: &self, from: decoder)
  }

  public func encode(to encoder: any Encoder) throws { try Self.fields.write(self, to: encoder) }
}

extension ColorJitter {
  package static var fields: [Field<ColorJitter>] {
    [
      Field("brightness", \.brightness), Field("contrast", \.contrast),
      Field("saturation", \.saturation), Field("hue", \.hue),
    ]
  }

  /// A key that is not there is 0 here: a recipe names what it wants.
  public init(from decoder: any Decoder) throws {
    self.init(brightness: 0, contrast: 0, saturation: 0, hue: 0)
    try Self.fields.read(into: &self, from: decoder)
  }

  public func encode(to encoder: any Encoder) throws { try Self.fields.write(self, to: encoder) }
}

extension RandAugment {
  package static var fields: [Field<RandAugment>] {
    [Field("operations", \.operations), Field("magnitude", \.magnitude)]
  }

  public init(from decoder: any Decoder) throws {
    self.init()
    try Self.fields.read(into: &self, from: decoder)
  }

  public func encode(to encoder: any Encoder) throws { try Self.fields.write(self, to: encoder) }
}
