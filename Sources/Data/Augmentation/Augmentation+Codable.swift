// Decoding: a key that is not there keeps its default.

extension Augmentation {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self = .none
    randomResizedCrop = try container.decodeIfPresent(
      RandomResizedCrop.self, forKey: .randomResizedCrop)
    colorJitter = try container.decodeIfPresent(ColorJitter.self, forKey: .colorJitter)
    randAugment = try container.decodeIfPresent(RandAugment.self, forKey: .randAugment)
    try container.update(&padding, .padding)
    try container.update(&horizontalFlip, .horizontalFlip)
    try container.update(&randomErasing, .randomErasing)
    try container.update(&mixup, .mixup)
    try container.update(&cutMix, .cutMix)
    try container.update(&labelSmoothing, .labelSmoothing)
  }
}

extension RandomResizedCrop {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init()
    try container.update(&scale, .scale)
    try container.update(&ratio, .ratio)
  }
}

extension ColorJitter {
  /// A key that is not there is 0 here: a recipe names what it wants.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(brightness: 0, contrast: 0, saturation: 0, hue: 0)
    try container.update(&brightness, .brightness)
    try container.update(&contrast, .contrast)
    try container.update(&saturation, .saturation)
    try container.update(&hue, .hue)
  }
}

extension RandAugment {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init()
    try container.update(&operations, .operations)
    try container.update(&magnitude, .magnitude)
  }
}

extension KeyedDecodingContainer {
  fileprivate func update<Value: Decodable>(_ value: inout Value, _ key: Key) throws {
    value = try decodeIfPresent(Value.self, forKey: key) ?? value
  }
}
