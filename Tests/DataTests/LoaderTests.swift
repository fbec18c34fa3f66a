import Data
import Foundation
import Models
import Testing
import Torch

/// Everything about a batch that training sees.
private struct Content: Hashable {
  var position: Int
  var indices: [Int]
  var images: [Float]
  var labels: [Int64]
  var targets: [Float]?
  var broken: [Int]

  init(_ batch: Batch) {
    position = batch.position
    indices = batch.indices
    images = batch.images.array(of: Float.self)
    labels = batch.labels.array(of: Int64.self)
    targets = batch.targets?.array(of: Float.self)
    broken = batch.broken.map(\.index)
  }
}

private func contents(_ loader: BatchLoader, epoch: Int = 0, from start: Int = 0) throws
  -> [Content]
{
  let stream = loader.batches(epoch: epoch, from: start)
  var contents: [Content] = []
  while let batch = try stream.next() { contents.append(Content(batch)) }
  return contents
}

private let everything: Augmentation = {
  var augmentation = Augmentation.strong
  augmentation.colorJitter = ColorJitter(hue: 0.1)
  augmentation.padding = 2
  return augmentation
}()

@Suite @TorchActor struct LoaderTests {
  /// A step takes a batch and computes; meanwhile the next ones are prepared, and no more.
  @Test func batchesArePreparedBeforeTheyAreAskedFor() throws {
    let data = NumberedPictures(count: 80)
    var options = LoaderOptions.evaluation(batchSize: 4)
    options.prefetch = 3
    let stream = try BatchLoader(data, preprocessing: rawBytes(4), options: options)
      .batches(epoch: 0)
    for used in 1...4 {
      _ = try stream.next()
      let deadline = Date(timeIntervalSinceNow: 30)
      while data.reads.value < 4 * (used + 3), Date() < deadline { usleep(1000) }
      usleep(2000)
      #expect(data.reads.value == 4 * (used + 3))
    }
  }

  @Test(arguments: Device.available) func batchesAreOnTheDevice(_ device: Device) throws {
    var augmentation = Augmentation.none
    augmentation.mixup = 0.5
    let stream = try BatchLoader(
      NumberedPictures(count: 8), preprocessing: rawBytes(4), augmentation: augmentation,
      options: .evaluation(batchSize: 4)
    ).batches(epoch: 0, on: device)
    let batch = try #require(try stream.next())
    #expect(batch.images.device == device && batch.labels.device == device)
    #expect(batch.targets?.device == device)
  }

  @Test func batchesHoldTheSamplesInOrder() throws {
    let data = NumberedPictures(count: 10)
    let loader = try BatchLoader(
      data, preprocessing: rawBytes(4), options: .evaluation(batchSize: 4))
    #expect(loader.batchesPerEpoch == 3)
    let stream = loader.batches(epoch: 0)
    let first = try #require(try stream.next())
    #expect(first.images.shape == [4, 1, 4, 4] && first.images.dtype == .float32)
    #expect(first.labels.shape == [4] && first.labels.dtype == .int64)
    #expect(first.targets == nil)
    let images = first.images.array(of: Float.self)
    for i in 0..<4 {
      let pixels = try data.image(at: i).pixels
      for (value, pixel) in zip(images[(16 * i)...], pixels) {
        #expect(abs(value - Float(pixel)) < 1e-3)
      }
    }
    let all = try contents(loader)
    #expect(all.flatMap(\.indices) == Array(0..<10))
    #expect(all.flatMap(\.labels) == [0, 1, 0, 1, 0, 1, 0, 1, 0, 1])
    #expect(all.map(\.indices.count) == [4, 4, 2])
  }

  @Test func batchesDoNotDependOnWorkers() throws {
    let data = NumberedPictures(count: 53, side: 12, channels: 3)
    func run(workers: Int, prefetch: Int, cacheBytes: Int) throws -> [Content] {
      var options = LoaderOptions.training(batchSize: 8, seed: 11, workers: workers)
      options.prefetch = prefetch
      options.cacheBytes = cacheBytes
      let loader = try BatchLoader(
        data, preprocessing: rawBytes(8, channels: 3), augmentation: everything, options: options)
      return try contents(loader, epoch: 0) + contents(loader, epoch: 1)
    }
    let reference = try run(workers: 1, prefetch: 1, cacheBytes: 0)
    #expect(reference.count == 12)
    #expect(Set(reference).count == 12)
    #expect(try run(workers: 4, prefetch: 3, cacheBytes: 1000) == reference)
    #expect(try run(workers: 7, prefetch: 64, cacheBytes: 1 << 20) == reference)
  }

  @Test func anyPositionIsReachedDirectly() throws {
    let loader = try BatchLoader(
      NumberedPictures(count: 40, channels: 3), preprocessing: rawBytes(4, channels: 3),
      augmentation: everything, options: .training(batchSize: 6, seed: 2, workers: 2))
    let whole = try contents(loader, epoch: 3)
    #expect(whole.map(\.position) == Array(0..<6))
    for start in 0...6 {
      #expect(try contents(loader, epoch: 3, from: start) == Array(whole[start...]))
    }
  }

  @Test func epochsAndSeedsGiveOtherOrders() throws {
    func order(seed: UInt64, epoch: Int) throws -> [Int] {
      var options = LoaderOptions.training(batchSize: 10, seed: seed)
      options.dropsLast = false
      let loader = try BatchLoader(
        NumberedPictures(count: 45), preprocessing: rawBytes(4), options: options)
      return try contents(loader, epoch: epoch).flatMap(\.indices)
    }
    let first = try order(seed: 1, epoch: 0)
    #expect(first.sorted() == Array(0..<45))
    #expect(try order(seed: 1, epoch: 1) != first)
    #expect(try order(seed: 2, epoch: 0) != first)
  }

  @Test func picturesAreDecodedOnce() throws {
    let data = NumberedPictures(count: 20)
    let loader = try BatchLoader(
      data, preprocessing: rawBytes(4), options: .evaluation(batchSize: 7, workers: 3))
    for epoch in 0..<3 { _ = try contents(loader, epoch: epoch) }
    #expect(data.reads.value == 20)
    var options = LoaderOptions.evaluation(batchSize: 7)
    options.cacheBytes = 5 * 16  // five pictures
    let small = NumberedPictures(count: 20)
    let limited = try BatchLoader(small, preprocessing: rawBytes(4), options: options)
    for epoch in 0..<2 { _ = try contents(limited, epoch: epoch) }
    #expect(small.reads.value == 20 + 15)
  }

  @Test(arguments: [1, 4]) func aBrokenSampleStopsTheStream(_ workers: Int) throws {
    let data = NumberedPictures(count: 40, broken: [13, 22])
    let loader = try BatchLoader(
      data, preprocessing: rawBytes(4), options: .evaluation(batchSize: 4, workers: workers))
    let stream = loader.batches(epoch: 0)
    for _ in 0..<3 { #expect(try stream.next() != nil) }
    let error = mingleError { try stream.next() }
    #expect(error == MingleError(.badData, "no picture", in: "number 13"))
    #expect(try stream.next() == nil)
  }

  @Test(arguments: [1, 4]) func brokenSamplesCanBeSkipped(_ workers: Int) throws {
    var options = LoaderOptions.evaluation(batchSize: 4, workers: workers)
    options.skipsBroken = true
    let data = NumberedPictures(count: 12, broken: [1, 4, 5, 6, 7, 10])
    let loader = try BatchLoader(
      data, preprocessing: rawBytes(4), augmentation: .strong, options: options)
    let batches = try contents(loader)
    #expect(batches.map(\.position) == [0, 2])
    #expect(batches.map(\.indices) == [[0, 2, 3], [8, 9, 11]])
    #expect(batches.map(\.broken) == [[1], [4, 5, 6, 7, 10]])
    #expect(batches.map(\.images.count) == [48, 48])
    #expect(batches.map { $0.targets?.count } == [9, 9])
  }

  @Test func nothingReadableIsAnError() throws {
    var options = LoaderOptions.evaluation(batchSize: 2)
    options.skipsBroken = true
    let data = NumberedPictures(count: 5, broken: Set(0..<5))
    let loader = try BatchLoader(data, preprocessing: rawBytes(4), options: options)
    let stream = loader.batches(epoch: 0)
    #expect(mingleError { try stream.next() }?.what == "not one of 5 samples can be read")
    #expect(stream.broken.map(\.index) == Array(0..<5))
  }

  @Test func anEpochMayEndInUnreadableSamples() throws {
    var options = LoaderOptions.evaluation(batchSize: 2)
    options.skipsBroken = true
    let data = NumberedPictures(count: 5, broken: [4])
    let loader = try BatchLoader(data, preprocessing: rawBytes(4), options: options)
    let resumed = loader.batches(epoch: 0, from: 2)
    #expect(try resumed.next() == nil)
    #expect(resumed.broken.map(\.index) == [4])
  }

  @Test func droppedStreamsStopTheirThreads() throws {
    let data = NumberedPictures(count: 100_000)
    let loader = try BatchLoader(
      data, preprocessing: rawBytes(4), options: .evaluation(batchSize: 10, workers: 4))
    for _ in 0..<20 {
      let stream = loader.batches(epoch: 0)
      _ = try stream.next()
    }
    Thread.sleep(forTimeInterval: 0.3)
    let reads = data.reads.value
    Thread.sleep(forTimeInterval: 0.2)
    #expect(data.reads.value == reads && reads < 100_000)
  }

  @Test func impossibleOptionsAreRefused() {
    let data = NumberedPictures(count: 3)
    func error(_ change: (inout LoaderOptions) -> Void) -> MingleError? {
      var options = LoaderOptions()
      change(&options)
      return mingleError { try BatchLoader(data, preprocessing: rawBytes(4), options: options) }
    }
    #expect(error { $0.batchSize = 0 }?.kind == .usage)
    #expect(error { $0.workers = 0 }?.kind == .usage)
    #expect(error { $0.prefetch = -1 }?.kind == .usage)
    #expect(error { $0.dropsLast = true }?.next == "choose a batch size of at most 3")
    let empty = NumberedPictures(count: 0)
    #expect(mingleError { try BatchLoader(empty, preprocessing: rawBytes(4)) }?.kind == .badData)
  }
}
