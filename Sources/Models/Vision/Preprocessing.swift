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
}
