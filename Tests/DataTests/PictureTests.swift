import Data
import Foundation
import Models
import Testing
import Torch

/// The largest and the mean distance of two pictures' values.
private func distance(_ first: [UInt8], _ second: [UInt8]) -> (largest: Int, mean: Double) {
  var largest = 0
  var sum = 0
  for (a, b) in zip(first, second) {
    let difference = abs(Int(a) - Int(b))
    largest = max(largest, difference)
    sum += difference
  }
  return (largest, Double(sum) / Double(first.count))
}

private func expectClose(
  _ image: Image, _ expected: [UInt8], file: String, _ location: SourceLocation = #_sourceLocation
) {
  #expect(image.pixels.count == expected.count, sourceLocation: location)
  let (largest, mean) = distance(image.pixels, expected)
  #expect(largest <= (file.hasSuffix("png") ? 1 : 2), "\(file)", sourceLocation: location)
  #expect(mean < 0.3, "\(file)", sourceLocation: location)
}

/// `expected.json` of the committed samples.
private struct Expected: Decodable {
  struct Picture: Decodable {
    var width: Int
    var height: Int
    var prepared: Foundation.Data
  }
  struct Resized: Decodable {
    var kernel: Preprocessing.Interpolation
    var width: Int
    var height: Int
    var pixels: Foundation.Data
  }
  var pictures: [String: Picture]
  var resized: [Resized]

  static func read() throws -> Expected {
    let data = try Foundation.Data(contentsOf: samples.appending(path: "expected.json"))
    return try JSONDecoder().decode(Expected.self, from: data)
  }
}

@Suite struct SamplePictureTests {
  @Test func samplesDecodeAsPillowDecodesThem() throws {
    let preprocessing = Preprocessing(imageSize: 16, cropFraction: 0.8)
    let pictures = try Expected.read().pictures
    #expect(pictures.count == 18)
    for (name, expected) in pictures {
      let image = try Image(contentsOf: samples.appending(path: name).path)
      #expect(image.width == expected.width && image.height == expected.height, "\(name)")
      let gray = ["gray.jpg", "gray.png", "gray16.png", "one_bit.png"].contains(name)
      #expect(image.channels == (gray ? 1 : 3), "\(name)")
      expectClose(image.prepared(for: preprocessing), Array(expected.prepared), file: name)
    }
  }

  @Test func resizeEqualsPillowToTheByte() throws {
    let image = try Image(contentsOf: samples.appending(path: "rgb.png").path)
    for expected in try Expected.read().resized {
      let resized = image.resized(
        to: ImageSize(expected.height, expected.width), interpolation: expected.kernel)
      #expect(
        resized.pixels == Array(expected.pixels),
        "\(expected.kernel) \(expected.width)x\(expected.height)")
    }
  }

  @Test func pixelsSurvivePNG() throws {
    for channels in [1, 3] {
      let pixels = (0..<(5 * 3 * channels)).map { UInt8(truncatingIfNeeded: 37 * $0) }
      let image = Image(width: 5, height: 3, channels: channels, pixels: pixels)
      #expect(try Image(decoding: image.encodedAsPNG(), named: "copy") == image)
    }
  }

  /// No prefix of a file decodes, and none crashes.
  @Test(arguments: [
    "baseline_420.jpg", "progressive_444.jpg", "cmyk.jpg", "gray.jpg", "exif6.jpg", "rgb.png",
    "interlaced.png", "palette4.png", "gray16.png",
  ]) func truncatedFilesAreErrors(_ name: String) throws {
    let bytes = try Array(Foundation.Data(contentsOf: samples.appending(path: name)))
    for length in stride(from: 0, to: bytes.count - 2, by: 7) {
      let error = mingleError { try Image(decoding: Array(bytes[..<length]), named: name) }
      #expect(error?.kind == .badData)
      #expect(error?.place == name)
    }
  }

  /// Noise anywhere gives a picture or an error.
  @Test(arguments: ["baseline_420.jpg", "progressive_444.jpg", "exif6.jpg", "rgb.png", "gray.png"])
  func damagedFilesDoNotCrash(_ name: String) throws {
    let bytes = try Array(Foundation.Data(contentsOf: samples.appending(path: name)))
    var random = RandomNumbers(seed: 1, .sample)
    for _ in 0..<300 {
      var damaged = bytes
      for _ in 0...random.below(4) {
        damaged[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
      }
      do {
        _ = try Image(decoding: damaged, named: name)
      } catch let error as MingleError {
        #expect(error.kind == .badData)
      }
    }
  }

  @Test func pixelLimitIsCheckedBeforeDecoding() throws {
    let path = samples.appending(path: "rgb.png").path
    #expect(throws: MingleError.self) { try Image(contentsOf: path, pixelLimit: 44 * 33 - 1) }
    #expect(try Image(contentsOf: path, pixelLimit: 44 * 33).width == 44)
  }

  @Test func headersBeyondTheFileAreRefused() throws {
    // 9000 x 9000 is below the pixel limit, but a 1.5 kB file cannot hold it.
    var png = try Array(Foundation.Data(contentsOf: samples.appending(path: "rgb.png")))
    png.replaceSubrange(16..<24, with: bigEndian(9000) + bigEndian(9000))
    png.replaceSubrange(29..<33, with: bigEndian(Int(crc(png[12..<29]))))
    var jpeg = try Array(Foundation.Data(contentsOf: samples.appending(path: "baseline_420.jpg")))
    let frame = try #require(
      jpeg.indices.first { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xC0 })
    jpeg.replaceSubrange((frame + 5)..<(frame + 9), with: [0x23, 0x28, 0x23, 0x28])
    for bytes in [png, jpeg] {
      let error = mingleError { try Image(decoding: bytes, named: "claim") }
      #expect(error?.what.contains("more than \(bytes.count) bytes can hold") == true)
    }
  }

  @Test func otherFormatsAreNamed() {
    let webp = Array("RIFF\0\0\0\0WEBPVP8 ".utf8)
    #expect(
      mingleError { try Image(decoding: webp, named: "a.png") }?.description
        == "a.png: the picture cannot be read (a WebP picture, not JPEG or PNG)")
    #expect(mingleError { try Image(contentsOf: "/no/such.png") }?.kind == .missingInput)
  }

  @Test func extremeShapesAreResizedInBoundedMemory() {
    let line = Image(
      width: 1, height: 60_000, channels: 1, pixels: .init(repeating: 9, count: 60_000))
    let image = line.prepared(for: Preprocessing(imageSize: 64, mean: [0], standardDeviation: [1]))
    #expect(image.pixels == Array(repeating: 9, count: 64 * 64))
  }

  @Test func otherShapesAreCovered() {
    let image = Image(width: 40, height: 40, channels: 1, pixels: .init(repeating: 1, count: 1600))
    for size in [ImageSize(20, 50), ImageSize(50, 20), ImageSize(3, 7)] {
      let preprocessing = Preprocessing(imageSize: size, mean: [0], standardDeviation: [1])
      let prepared = image.prepared(for: preprocessing)
      #expect(prepared.height == size.height && prepared.width == size.width)
      #expect(prepared.pixels.allSatisfy { $0 == 1 })
    }
  }

  @Test func normalisationIsPerChannel() throws {
    let image = Image(width: 1, height: 2, channels: 3, pixels: [0, 51, 255, 255, 102, 0])
    let preprocessing = Preprocessing(
      imageSize: ImageSize(2, 1), cropFraction: 1, mean: [0, 0.2, 1],
      standardDeviation: [1, 0.5, 0.25])
    let input = try image.input(for: preprocessing)
    #expect(input.shape == [3, 2, 1])
    let expected: [Float] = [0, 1, 0, 0.4, 0, -4]
    for (value, wanted) in zip(input.array(of: Float.self), expected) {
      #expect(abs(value - wanted) < 1e-6)
    }
  }

  @Test(arguments: [
    Preprocessing(imageSize: 8, cropFraction: 0), Preprocessing(imageSize: 8, cropFraction: .nan),
    Preprocessing(imageSize: ImageSize(1 << 20)), Preprocessing(imageSize: 8, mean: [0.5]),
    Preprocessing(imageSize: 8, standardDeviation: [1, 1, 0]),
  ]) func impossiblePreprocessingIsRefused(_ preprocessing: Preprocessing) {
    let image = Image(width: 1, height: 1, channels: 1, pixels: [0])
    #expect(mingleError { try image.input(for: preprocessing) }?.kind == .usage)
  }
}

/// CRC-32, bit by bit.
private func crc(_ bytes: ArraySlice<UInt8>) -> UInt32 {
  ~bytes.reduce(0xFFFF_FFFF as UInt32) { sum, byte in
    (0..<8).reduce(sum ^ UInt32(byte)) { value, _ in
      value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1
    }
  }
}

/// The decoder tests beside the checkout: 35 good and 27 bad files.
@Suite(.enabled(if: hasShared("photos"))) struct SharedPhotoTests {
  struct Manifest: Decodable {
    struct Entry: Decodable {
      var file: String
      var reference: String?
      var expected: String?
      var decoded_size: [Int]?
    }
    var good: [Entry]
    var bad: [Entry]
  }

  let folder = shared.appending(path: "photos")

  func manifest() throws -> Manifest {
    let data = try Foundation.Data(contentsOf: folder.appending(path: "manifest.json"))
    return try JSONDecoder().decode(Manifest.self, from: data)
  }

  @Test func goodFilesEqualTheReference() throws {
    let preprocessing = Preprocessing(imageSize: 224)
    for entry in try manifest().good {
      let image = try Image(contentsOf: folder.appending(path: entry.file).path)
      #expect([image.width, image.height] == entry.decoded_size, "\(entry.file)")
      let name = try #require(entry.expected)
      let expected = try Foundation.Data(contentsOf: folder.appending(path: name))
      expectClose(
        image.prepared(for: preprocessing), expected.suffix(224 * 224 * 3), file: entry.file)
    }
  }

  @Test func badFilesAreRefusedOrDecoded() throws {
    for entry in try manifest().bad {
      let path = folder.appending(path: entry.file).path
      let reference = try #require(entry.reference)
      do {
        _ = try Image(contentsOf: path)
        #expect(reference.contains("decodes"), "\(entry.file)")
      } catch let error as MingleError {
        #expect(error.kind == .badData && error.place == path)
        #expect(!reference.hasPrefix("decodes") && !reference.contains("warning"), "\(error)")
        #expect(error.what.contains("limit") == reference.contains("limit"), "\(error)")
      }
    }
  }
}
