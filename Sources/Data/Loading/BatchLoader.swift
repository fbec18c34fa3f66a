import Models
import Torch

/// Forms batches of a data set, on threads of its own.
///
/// A batch depends only on the data, the preprocessing, the augmentation, the options without
/// `workers` and `prefetch`, and its place (epoch, position): every random number is keyed by these,
/// so a run that starts in the middle of an epoch goes on as if it had never stopped.
public final class BatchLoader: Sendable {
  public let dataset: any ImageDataset
  public let preprocessing: Preprocessing
  public let augmentation: Augmentation
  public let options: LoaderOptions
  private let normalization: Normalization
  private let cache: ImageCache?

  /// - Throws: `MingleError` (`usage`) for options or an augmentation that cannot be; (`badData`)
  ///   when there is no sample, or fewer than a batch and short ones are dropped.
  public init(
    _ dataset: any ImageDataset, preprocessing: Preprocessing, augmentation: Augmentation = .none,
    options: LoaderOptions = LoaderOptions()
  ) throws {
    try preprocessing.checkForPictures()
    try augmentation.validate()
    try options.validate(sampleCount: dataset.count, in: dataset.name)
    self.dataset = dataset
    self.preprocessing = preprocessing
    self.augmentation = augmentation
    self.options = options
    normalization = Normalization(preprocessing)
    let isCached = !dataset.isDecoded && options.cacheBytes > 0
    cache = isCached ? ImageCache(count: dataset.count, limit: options.cacheBytes) : nil
  }

  public var batchesPerEpoch: Int {
    options.batchCount(of: dataset.count)
  }

  /// The batches of an epoch from position `start` on, prepared ahead: decoded, augmented, normalised and
  /// on `device` when they are asked for.
  public func batches(
    epoch: Int, from start: Int = 0, on device: Device = .cpu
  ) -> BatchStream {
    precondition(
      epoch >= 0 && (0...batchesPerEpoch).contains(start),
      "batch \(start) of \(batchesPerEpoch) in epoch \(epoch)")
    return BatchStream(self, epoch: epoch, from: start, on: device)
  }

  /// The samples of an epoch in their order.
  func order(epoch: Int) -> [Int] {
    guard options.isShuffled else { return Array(0..<dataset.count) }
    var random = RandomNumbers(seed: options.seed, .order, epoch: epoch)
    return random.permutation(dataset.count)
  }

  /// Prepares one batch; without samples when none can be read and such samples are skipped.
  func batch(at position: Int, epoch: Int, order: [Int]) throws -> Batch {
    let size = preprocessing.imageSize
    let channels = normalization.channels
    let first = position * options.batchSize
    let places = first..<min(first + options.batchSize, dataset.count)
    let imageCount = channels * size.height * size.width
    let room = Tensor.empty([places.count, channels, size.height, size.width])
    var indices: [Int] = []
    var broken: [BrokenSample] = []
    var targets: [Float]?
    try room.withUnsafeMutableBytes { bytes in
      let values = bytes.bindMemory(to: Float.self)
      for place in places {
        let output = UnsafeMutableBufferPointer(
          rebasing: values[(indices.count * imageCount)...].prefix(imageCount))
        do throws(MingleError) {
          try write(order[place], place: place, epoch: epoch, to: output)
          indices.append(order[place])
        } catch {
          guard options.skipsBroken else { throw error }
          broken.append(BrokenSample(index: order[place], error: error))
        }
      }
      if augmentation.hasSoftTargets, !indices.isEmpty {
        var random = RandomNumbers(seed: options.seed, .batch, epoch: epoch, position: position)
        targets = augmentation.mix(
          values, channels: channels, size: size, labels: indices.map(dataset.label),
          classCount: dataset.classCount, random: &random)
      }
    }
    return Batch(
      images: indices.count == places.count ? room : room.prefix(indices.count, of: imageCount),
      labels: Tensor(indices.map { Int64(dataset.label(at: $0)) }),
      targets: targets.map { Tensor($0, shape: [indices.count, dataset.classCount]) },
      indices: indices, position: position, broken: broken)
  }

  /// The sample's JPEG file when only a part of it will be used. Whether it is has nothing to do with
  /// what the cache holds: a reduced part differs from a part of the whole.
  private func jpeg(at index: Int) throws -> EncodedPicture? {
    guard augmentation.randomResizedCrop != nil, !dataset.isDecoded,
      cache?.image(at: index) == nil, let picture = try dataset.encodedPicture(at: index)
    else { return nil }
    return picture.isJPEG ? picture : nil
  }

  private func image(at index: Int) throws -> Image {
    if let image = cache?.image(at: index) { return image }
    let image = try dataset.image(at: index)
    cache?.keep(image, at: index)
    return image
  }

  /// Decodes, augments and normalises one sample.
  private func write(
    _ index: Int, place: Int, epoch: Int, to output: UnsafeMutableBufferPointer<Float>
  ) throws(MingleError) {
    guard let base = output.baseAddress else { return }
    var random = RandomNumbers(seed: options.seed, .sample, epoch: epoch, position: place)
    do {
      if let jpeg = try jpeg(at: index) {
        try augmentation.write(
          jpeg, for: preprocessing, normalization, random: &random, to: base)
      } else {
        try augmentation.write(
          image(at: index), for: preprocessing, normalization, random: &random, to: base)
      }
    } catch let error as MingleError {
      throw error
    } catch {
      throw MingleError(
        .badData, "the sample cannot be read (\(error))", in: dataset.sampleName(at: index))
    }
    augmentation.erase(
      output, channels: normalization.channels, size: preprocessing.imageSize, random: &random)
  }
}

extension Tensor {
  /// A copy of the first `count` of the pictures along dimension 0.
  fileprivate func prefix(_ count: Int, of imageCount: Int) -> Tensor {
    withUnsafeBytes { bytes in
      let part = bytes[..<(count * imageCount * MemoryLayout<Float>.stride)]
      return Tensor(
        copying: UnsafeRawBufferPointer(rebasing: part), shape: [count] + shape.dropFirst(),
        dtype: .float32)
    }
  }
}
