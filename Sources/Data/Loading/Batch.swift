import Torch

/// Samples ready for a model. `B` samples, `C` channels, `H` x `W` pixels, `K` classes.
public struct Batch: Sendable {
  /// float32 [B, C, H, W], normalised.
  public let images: Tensor
  /// int64 [B].
  public let labels: Tensor
  /// float32 [B, K], rows with sum 1: the targets after Mixup, CutMix and label smoothing; nil when
  /// none of them is on.
  public let targets: Tensor?
  /// The samples' places in the data set.
  public let indices: [Int]
  /// The batch's place in the epoch.
  public let position: Int
  /// Samples that could not be read and were left out, here and in batches passed over before.
  public internal(set) var broken: [BrokenSample]

  /// `B`.
  public var count: Int { indices.count }

  /// The same batch with its tensors on `device`.
  func moved(to device: Device) -> Batch {
    guard device != .cpu else { return self }
    return Batch(
      images: images.to(device), labels: labels.to(device), targets: targets?.to(device),
      indices: indices, position: position, broken: broken)
  }
}

/// A sample that could not be read.
public struct BrokenSample: Hashable, Sendable {
  /// Its place in the data set.
  public let index: Int
  /// Names the file and the reason.
  public let error: MingleError
}

/// How batches are formed.
public struct LoaderOptions: Codable, Hashable, Sendable {
  public var batchSize = 64
  /// A new order in each epoch, by `seed`.
  public var isShuffled = false
  /// Leaves out the last batch when it is short.
  public var dropsLast = false
  public var seed: UInt64 = 0
  /// Threads that prepare batches; the batches do not depend on it.
  public var workers = 1
  /// Batches prepared ahead of the one in use.
  public var prefetch = 4
  /// Leaves out samples that cannot be read (their batch is shorter) instead of stopping.
  public var skipsBroken = false
  /// Memory for decoded pictures, so that small sets are decoded once; not for JPEG files of which
  /// random crops are taken, which are decoded each time, the crop alone.
  public var cacheBytes = 1 << 29

  public init() {}

  /// Every sample once, in order.
  public static func evaluation(batchSize: Int, workers: Int = 1) -> LoaderOptions {
    var options = LoaderOptions()
    options.batchSize = batchSize
    options.workers = workers
    return options
  }

  /// Shuffled, only whole batches.
  public static func training(batchSize: Int, seed: UInt64, workers: Int = 1) -> LoaderOptions {
    var options = evaluation(batchSize: batchSize, workers: workers)
    options.isShuffled = true
    options.dropsLast = true
    options.seed = seed
    return options
  }
}

extension LoaderOptions {
  /// The batches in an epoch of so many samples.
  func batchCount(of sampleCount: Int) -> Int {
    dropsLast ? sampleCount / batchSize : (sampleCount + batchSize - 1) / batchSize
  }

  /// - Throws: `MingleError` (`usage`) for options that cannot be; (`badData`) when there is no
  ///   sample, or fewer than a batch and short ones are dropped.
  func validate(sampleCount: Int, in place: String) throws {
    for (name, value, range) in [
      ("batch size", batchSize, 1...1 << 20), ("workers", workers, 1...256),
      ("prefetch", prefetch, 1...4096), ("cache bytes", cacheBytes, 0...Int.max),
    ] where !range.contains(value) {
      throw MingleError(
        .usage, "\(name) out of range",
        expected: "\(range.lowerBound) to \(range.upperBound)", got: "\(value)")
    }
    guard sampleCount > 0 else { throw noSamples(in: place, expected: "at least one") }
    guard !dropsLast || sampleCount >= batchSize else {
      throw MingleError(
        .badData, "fewer samples than a batch", in: place,
        expected: "at least \(batchSize)", got: "\(sampleCount)",
        next: "choose a batch size of at most \(sampleCount)")
    }
  }
}
