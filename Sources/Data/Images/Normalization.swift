import CImageCodecs
import Models
import Torch

/// Bytes to a model's floats, channel by channel: `(value / 255 - mean) / standardDeviation`.
struct Normalization: Sendable {
  let channels: Int
  /// 256 values for each channel.
  private let table: [Float]
  /// The same as `value * scale + shift`, channel by channel.
  let scale: [Float]
  let shift: [Float]

  init(_ preprocessing: Preprocessing) {
    channels = preprocessing.mean.count
    table = zip(preprocessing.mean, preprocessing.standardDeviation).flatMap { mean, deviation in
      (0...255).map { (Float($0) / 255 - mean) / deviation }
    }
    scale = preprocessing.standardDeviation.map { 1 / (255 * $0) }
    shift = zip(preprocessing.mean, preprocessing.standardDeviation).map { -$0 / $1 }
  }

  /// Writes channels x height x width values.
  func write(_ image: Image, to output: UnsafeMutablePointer<Float>) {
    precondition(image.channels == channels, "\(image.channels) channels, not \(channels)")
    ci_normalize(image.pixels, image.pixelCount, Int32(channels), table, output)
  }
}

extension Image {
  /// The model's input for this picture: float32 [C, H, W], resized, cropped and normalised.
  ///
  /// - Throws: `MingleError` (`usage`) when `preprocessing` cannot be.
  public func input(for preprocessing: Preprocessing) throws -> Tensor {
    try preprocessing.checkForPictures()
    let size = preprocessing.imageSize
    let tensor = Tensor.empty([preprocessing.mean.count, size.height, size.width])
    let image = prepared(for: preprocessing)
    tensor.withUnsafeMutableBytes { bytes in
      guard let output = bytes.bindMemory(to: Float.self).baseAddress else { return }
      Normalization(preprocessing).write(image, to: output)
    }
    return tensor
  }
}

extension Preprocessing {
  /// - Throws: `MingleError` (`usage`) unless sizes, crop and normalisation fit pictures.
  func checkForPictures() throws {
    func failure(_ what: String, expected: String, got: String) -> MingleError {
      MingleError(.usage, what, in: "preprocessing", expected: expected, got: got)
    }
    guard (1...1 << 14).contains(imageSize.height), (1...1 << 14).contains(imageSize.width) else {
      throw failure(
        "an image size that cannot be", expected: "1 to \(1 << 14) pixels", got: "\(imageSize)")
    }
    guard cropFraction >= 0.01, cropFraction <= 1 else {
      throw failure(
        "a crop fraction that cannot be", expected: "0.01 to 1", got: "\(cropFraction)")
    }
    guard mean.count == 1 || mean.count == 3, mean.count == standardDeviation.count else {
      throw failure(
        "the channels do not fit pictures",
        expected: "mean and standard deviation for 1 or 3 channels",
        got: "\(mean.count) and \(standardDeviation.count)")
    }
    guard standardDeviation.allSatisfy({ $0 > 0 && $0.isFinite }), mean.allSatisfy(\.isFinite)
    else {
      throw failure(
        "a normalisation that cannot be", expected: "standard deviations above 0",
        got: "\(standardDeviation)")
    }
  }
}
