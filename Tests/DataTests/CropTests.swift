import Data
import Foundation
import Models
import Testing
import Torch

/// The pictures of a folder in the order of their names, with the class "a".
private func loader(
  _ folder: TemporaryFolder, _ preprocessing: Preprocessing, _ augmentation: Augmentation,
  _ change: (inout LoaderOptions) -> Void = { _ in }
) throws -> BatchLoader {
  var options = LoaderOptions.evaluation(batchSize: 4)
  options.seed = 7
  change(&options)
  return try BatchLoader(
    ImageFolder(folder.path), preprocessing: preprocessing, augmentation: augmentation,
    options: options)
}

private func values(_ loader: BatchLoader, epoch: Int = 0, from start: Int = 0) throws -> [[Float]]
{
  let stream = loader.batches(epoch: epoch, from: start)
  var values: [[Float]] = []
  while let batch = try stream.next() { values.append(batch.images.array(of: Float.self)) }
  return values
}

private func meanDistance(_ first: [Float], _ second: [Float]) -> Float {
  zip(first, second).reduce(0) { $0 + abs($1.0 - $1.1) } / Float(first.count)
}

private func crops(_ scale: [Double], flip: Double = 0.5) -> Augmentation {
  var augmentation = Augmentation.none
  augmentation.randomResizedCrop = RandomResizedCrop(scale: scale)
  augmentation.horizontalFlip = flip
  return augmentation
}

private let jpegs =
  ["baseline_420", "cmyk", "gray", "progressive_444"] + (2...8).map { "exif\($0)" }

private func bytes(_ name: String) throws -> [UInt8] {
  try Array(Foundation.Data(contentsOf: samples.appending(path: name)))
}

/// Copies of the sample JPEG files, as they are or as PNG files of the same pixels.
private func copies(asPNG: Bool, of names: [String] = jpegs) throws -> TemporaryFolder {
  let folder = try TemporaryFolder()
  for name in names {
    let content = try bytes(name + ".jpg")
    if asPNG {
      try folder.write("a/\(name).png", Image(decoding: content, named: name).encodedAsPNG())
    } else {
      try folder.write("a/\(name).jpg", content)
    }
  }
  return folder
}

@Suite @TorchActor struct CropTests {
  /// 32: a crop has less than four times the sides, so all its pixels are decoded; 64: more than the
  /// pictures have. Gray, CMYK, progressive and turned files are among them.
  @Test(arguments: [32, 64, 13], [1, 3])
  func aDecodedCropIsTheCropOfTheDecoded(_ side: Int, _ channels: Int) throws {
    let (stored, decoded) = (try copies(asPNG: false), try copies(asPNG: true))
    for augmentation in [crops([0.05, 1]), .light, .strong] {
      for interpolation in [Preprocessing.Interpolation.bilinear, .bicubic] {
        var preprocessing = rawBytes(side, channels: channels)
        preprocessing.interpolation = interpolation
        let first = try values(loader(stored, preprocessing, augmentation))
        let second = try values(loader(decoded, preprocessing, augmentation))
        #expect(first == second)
      }
    }
  }

  /// Halved, quartered and eighthed by the transform: near what the resize makes of all pixels.
  @Test(arguments: [11, 8, 5, 3, 2]) func reducedCropsAreNear(_ side: Int) throws {
    let names = ["positions"]
    let (stored, decoded) = (
      try copies(asPNG: false, of: names), try copies(asPNG: true, of: names)
    )
    let preprocessing = rawBytes(side, channels: 3)
    for epoch in 0..<10 {
      let first = try values(loader(stored, preprocessing, crops([0.9, 1])), epoch: epoch)
      let second = try values(loader(decoded, preprocessing, crops([0.9, 1])), epoch: epoch)
      #expect(first != second)
      #expect(meanDistance(first[0], second[0]) < 1.5)
    }
  }

  /// Red is a pixel's column and green its row: each value tells from where it comes.
  @Test(arguments: [4, 9, 30, 120]) func cropsLieWhereTheyWereDrawn(_ side: Int) throws {
    let folder = try copies(asPNG: false, of: ["positions"])
    let loader = try loader(folder, rawBytes(side, channels: 3), crops([0.1, 1]))
    var flips = 0
    for epoch in 0..<20 {
      var random = RandomNumbers(seed: 7, .sample, epoch: epoch)
      let box = drawn(width: 240, height: 180, &random)
      let isFlipped = random.uniform() < 0.5
      flips += isFlipped ? 1 : 0
      let values = try values(loader, epoch: epoch)[0]
      // Near the crop's edges the kernel is cut off, which moves its centre inwards.
      let edge = side < 10 ? 1 : 3
      var furthest = 0.0
      for y in edge..<(side - edge) {
        for x in edge..<(side - edge) {
          let place = y * side + (isFlipped ? side - 1 - x : x)
          let column = box.left + (Double(x) + 0.5) * box.width / Double(side) - 0.5
          let row = box.top + (Double(y) + 0.5) * box.height / Double(side) - 0.5
          for (plane, expected) in [column, row, 128].enumerated() {
            furthest = max(furthest, abs(Double(values[plane * side * side + place]) - expected))
          }
        }
      }
      #expect(furthest < 4)
    }
    #expect((2...18).contains(flips))
  }

  /// The draws of the crop, written once more: scale 0.1 to 1, ratio 3/4 to 4/3.
  private func drawn(width: Int, height: Int, _ random: inout RandomNumbers) -> (
    left: Double, top: Double, width: Double, height: Double
  ) {
    for _ in 0..<10 {
      let area = Double(width * height) * (0.1 + 0.9 * random.uniform())
      let ratio = exp(log(0.75) + (log(4.0 / 3) - log(0.75)) * random.uniform())
      let columns = Int((area * ratio).squareRoot().rounded())
      let rows = Int((area / ratio).squareRoot().rounded())
      guard columns <= width, rows <= height else { continue }
      let (left, top) = (random.below(width - columns + 1), random.below(height - rows + 1))
      return (Double(left), Double(top), Double(columns), Double(rows))
    }
    return (0, 0, Double(width), Double(height))
  }

  /// The whole picture as a crop: what `resized` gives, but for its rounding between the passes.
  @Test(arguments: [16, 33, 90]) func aWholeCropIsTheResizedPicture(_ side: Int) throws {
    let folder = try copies(asPNG: true, of: ["baseline_420"])
    var augmentation = crops([1, 1], flip: 0)
    augmentation.randomResizedCrop?.ratio = [44.0 / 33, 44.0 / 33]
    let image = try Image(contentsOf: samples.appending(path: "baseline_420.jpg").path)
    for (interpolation, bound) in [(Preprocessing.Interpolation.bilinear, 1.1), (.bicubic, 12)] {
      var preprocessing = rawBytes(side, channels: 3)
      preprocessing.interpolation = interpolation
      let crop = try values(loader(folder, preprocessing, augmentation))[0]
      let pixels = image.resized(to: ImageSize(side), interpolation: interpolation).pixels
      let planes = (0..<3).flatMap { c in
        stride(from: c, to: pixels.count, by: 3).map { Float(pixels[$0]) }
      }
      let largest = zip(crop, planes).map { abs($0 - $1) }.max() ?? 255
      // Only the cubic kernel overshoots: there the bytes are clipped twice.
      #expect(Double(largest) < bound, "\(interpolation)")
      #expect(meanDistance(crop, planes) < 0.6)
    }
  }

  @Test func flipsMirrorTheCrop() throws {
    let folder = try copies(asPNG: false)
    let side = 20
    func images(flip: Double) throws -> [Float] {
      try values(loader(folder, rawBytes(side, channels: 3), crops([0.3, 1], flip: flip)))
        .flatMap { $0 }
    }
    let (plain, mirrored) = (try images(flip: 0), try images(flip: 1))
    #expect(plain != mirrored)
    for row in stride(from: 0, to: plain.count, by: side) {
      #expect(plain[row..<(row + side)].elementsEqual(mirrored[row..<(row + side)].reversed()))
    }
  }

  @Test func batchesDependOnNeitherWorkersNorCacheNorStart() throws {
    let folder = try copies(asPNG: false, of: jpegs + ["positions"])
    try folder.write("a/rgb.png", bytes("rgb.png"))
    func run(workers: Int, cacheBytes: Int, from start: Int = 0) throws -> [[Float]] {
      let loader = try loader(folder, rawBytes(9, channels: 3), .strong) {
        $0.isShuffled = true
        $0.workers = workers
        $0.cacheBytes = cacheBytes
      }
      return try values(loader, epoch: 0, from: start) + values(loader, epoch: 1)
    }
    let reference = try run(workers: 1, cacheBytes: 0)
    #expect(Set(reference).count == reference.count)
    #expect(try run(workers: 3, cacheBytes: 1 << 20) == reference)
    #expect(try run(workers: 2, cacheBytes: 5000) == reference)
    #expect(try run(workers: 1, cacheBytes: 0, from: 2) == Array(reference[2...]))
  }

  @Test func picturesOfTarFilesAndSubsetsAreTheSame() throws {
    let folder = try copies(asPNG: false)
    var tar: [UInt8] = []
    for name in jpegs.sorted() { tar += try tarMember("a/\(name).jpg", bytes(name + ".jpg")) }
    try folder.write("set.tar", tar + tarEnd)
    let (files, members) = (try ImageFolder(folder.path), try ImageTar(folder.path + "/set.tar"))
    func first(_ set: any ImageDataset) throws -> [[Float]] {
      try values(
        BatchLoader(
          set, preprocessing: rawBytes(8, channels: 3), augmentation: crops([0.3, 1]),
          options: .evaluation(batchSize: 3)))
    }
    #expect(try first(members) == first(files))
    let all = Array(0..<files.count)
    #expect(try first(DatasetSubset(members, indices: all)) == first(files))
    #expect(
      try members.encodedPicture(at: 0)?.withUnsafeBytes { $0.count }
        == bytes("baseline_420.jpg").count)
    #expect(try NumberedPictures(count: 1).encodedPicture(at: 0) == nil)
  }
}

/// Files that cannot be decoded end as they do when all of a picture is.
@Suite @TorchActor struct DamagedCropTests {
  /// The error of a small crop, nil when there is none.
  private func error(_ content: [UInt8], _ folder: TemporaryFolder, epoch: Int) throws
    -> MingleError?
  {
    try folder.write("a/one.jpg", content)
    let loader = try loader(folder, rawBytes(8, channels: 3), crops([0.05, 0.2]))
    do {
      _ = try values(loader, epoch: epoch)
      return nil
    } catch let error as MingleError {
      return error
    }
  }

  private func wholeError(_ content: [UInt8], _ folder: TemporaryFolder) -> MingleError? {
    do {
      _ = try Image(decoding: content, named: folder.path + "/a/one.jpg")
      return nil
    } catch {
      return error as? MingleError
    }
  }

  @Test(arguments: ["positions", "progressive_444", "cmyk", "gray", "exif6"])
  func filesThatEndEarlyAreErrors(_ name: String) throws {
    let folder = try TemporaryFolder()
    let content = try bytes(name + ".jpg")
    for length in stride(from: 3, to: content.count - 1, by: max(7, content.count / 60)) {
      let part = Array(content[..<length])
      #expect(try error(part, folder, epoch: length) == wholeError(part, folder))
      #expect(wholeError(part, folder)?.kind == .badData)
    }
    #expect(try error(content, folder, epoch: 0) == nil)
  }

  @Test(arguments: ["positions", "progressive_444", "exif6"])
  func noiseEndsAsItDoesForTheWhole(_ name: String) throws {
    let folder = try TemporaryFolder()
    let content = try bytes(name + ".jpg")
    var random = RandomNumbers(seed: 2, .sample)
    var errors = 0
    for trial in 0..<200 {
      var damaged = content
      for _ in 0...random.below(4) {
        damaged[3 + random.below(content.count - 3)] = UInt8(truncatingIfNeeded: random.next())
      }
      let expected = wholeError(damaged, folder)
      #expect(try error(damaged, folder, epoch: trial) == expected)
      errors += expected == nil ? 0 : 1
    }
    #expect(errors > 0)
  }

  @Test(arguments: ["positions", "progressive_444", "gray"])
  func filesThatLackOnlyTheirEndAreTheSame(_ name: String) throws {
    let folder = try TemporaryFolder()
    let content = try bytes(name + ".jpg")
    #expect(content.suffix(2) == [0xFF, 0xD9])
    for lacking in 1...4 {
      let part = Array(content.dropLast(lacking))
      #expect(try error(part, folder, epoch: lacking) == wholeError(part, folder))
    }
  }
}
