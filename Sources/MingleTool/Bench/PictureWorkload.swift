import Mingle

/// Which parts of pictures are loaded to be measured.
enum PictureCrops: String, Codable {
  /// As in training: a random part of at least 8 % of the area, half of them mirrored.
  case random
  /// The whole picture, for comparisons; its sides must be 4 to 3.
  case whole
}

/// The loading of pictures as training does it, ready to be repeated: from files to normalised
/// batches [B, 3, 224, 224], by one thread.
final class PictureWorkload {
  private let loader: BatchLoader
  private var epoch = 0

  /// - Parameter folder: JPEG files.
  /// - Throws: `MingleError` if there are none.
  init(folder: String, crops: PictureCrops, batchSize: Int) throws {
    guard let pictures = try PictureCollection(at: folder) else {
      throw MingleError(.badData, "no folder of pictures", in: folder)
    }
    var augmentation = Augmentation.none
    switch crops {
    case .random:
      augmentation.randomResizedCrop = RandomResizedCrop()
      augmentation.horizontalFlip = 0.5
    case .whole:
      augmentation.randomResizedCrop = RandomResizedCrop(scale: [1, 1], ratio: [4.0 / 3, 4.0 / 3])
    }
    var options = LoaderOptions.evaluation(batchSize: batchSize)
    options.prefetch = 1
    loader = try BatchLoader(
      pictures, preprocessing: Preprocessing(imageSize: 224, interpolation: .bilinear),
      augmentation: augmentation, options: options)
  }

  /// Loads every picture once, other parts each time; returns the first batch.
  @discardableResult
  func run() throws -> Tensor {
    let batches = loader.batches(epoch: epoch)
    epoch += 1
    var first: Tensor?
    while let batch = try batches.next() { first = first ?? batch.images }
    guard let first else { throw MingleError(.badData, "no pictures", in: loader.dataset.name) }
    return first
  }
}
