import Torch

/// How a picture becomes a model's input; it travels with the weights.
///
/// The shorter side is resized to `imageSize / cropFraction`, the centre is cropped to `imageSize`,
/// pixel values in [0, 1] are normalised per channel: `(value - mean) / standardDeviation`.
public struct Preprocessing: Codable, Hashable, Sendable {
  /// The kernel of the (always antialiased) resize.
  public enum Interpolation: String, Codable, Sendable, CaseIterable {
    case bilinear, bicubic
  }

  public var imageSize: ImageSize
  /// The cropped part of the resized picture's shorter side, in (0, 1].
  public var cropFraction: Double
  public var interpolation: Interpolation
  /// One value for each input channel (one: gray, three: red, green, blue).
  public var mean: [Float]
  public var standardDeviation: [Float]

  public init(
    imageSize: ImageSize, cropFraction: Double = 0.875, interpolation: Interpolation = .bicubic,
    mean: [Float] = [0.5, 0.5, 0.5], standardDeviation: [Float] = [0.5, 0.5, 0.5]
  ) {
    self.imageSize = imageSize
    self.cropFraction = cropFraction
    self.interpolation = interpolation
    self.mean = mean
    self.standardDeviation = standardDeviation
  }

  /// The means and standard deviations of ImageNet's channels, as most PyTorch code takes them.
  static func imageNet(
    cropFraction: Double, interpolation: Interpolation = .bicubic
  ) -> Preprocessing {
    Preprocessing(
      imageSize: 224, cropFraction: cropFraction, interpolation: interpolation,
      mean: [0.485, 0.456, 0.406], standardDeviation: [0.229, 0.224, 0.225])
  }

  /// - Throws: `MingleError` unless crop and normalisation can be, and fit a model's channels.
  func validate(channels: Int) throws {
    try requireField("crop_fraction", cropFraction, in: 0.01...1)
    guard mean.count == channels, standardDeviation.count == channels else {
      throw MingleError(
        .usage, "the normalisation does not fit the model's channels", expected: "\(channels)",
        got: "\(mean.count) means and \(standardDeviation.count) standard deviations")
    }
    let largest = Float.greatestFiniteMagnitude
    for value in mean { try requireField("mean", value, in: -largest...largest) }
    for value in standardDeviation {
      try requireField("standard_deviation", value, in: .leastNormalMagnitude...largest)
    }
  }

  enum CodingKeys: String, CodingKey {
    case imageSize = "image_size", cropFraction = "crop_fraction", interpolation, mean
    case standardDeviation = "standard_deviation"
  }
}
