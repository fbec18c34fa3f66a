import Data
import Foundation
import Models
import Testing
import Torch

private let colourful = Image(
  width: 6, height: 4, channels: 3, pixels: (0..<72).map { UInt8(truncatingIfNeeded: 41 * $0) })
private let plain = Image(width: 6, height: 6, channels: 1, pixels: .init(repeating: 77, count: 36))

@Suite struct ImageOperationTests {
  @Test func factorOneChangesNothing() {
    #expect(colourful.brightness(1) == colourful)
    #expect(colourful.contrast(1) == colourful)
    #expect(colourful.saturation(1) == colourful)
    #expect(colourful.sharpness(1) == colourful)
    #expect(colourful.posterized(bits: 8) == colourful)
    #expect(colourful.solarized(threshold: 256) == colourful)
    #expect(colourful.mirrored().mirrored() == colourful)
    #expect(colourful.shifted(margin: 2, left: 2, top: 2) == colourful)
  }

  @Test func factorZeroRemovesTheQuality() {
    #expect(colourful.brightness(0).pixels.allSatisfy { $0 == 0 })
    #expect(Set(colourful.contrast(0).pixels).count == 1)
    #expect(
      colourful.saturation(0) == colourful.converted(toChannels: 1).converted(toChannels: 3))
    #expect(plain.sharpness(0) == plain)
  }

  @Test func knownColours() {
    func pixel(_ values: UInt8...) -> Image {
      Image(width: 1, height: 1, channels: 3, pixels: values)
    }
    #expect(pixel(255, 0, 0).hue(1.0 / 3) == pixel(0, 255, 0))
    #expect(pixel(255, 0, 0).hue(0.5) == pixel(0, 255, 255))
    #expect(pixel(200, 100, 50).hue(-1) == pixel(200, 100, 50))
    #expect(pixel(9, 9, 9).hue(0.3) == pixel(9, 9, 9))
    #expect(pixel(255, 0, 0).converted(toChannels: 1).pixels == [76])
    #expect(pixel(0, 255, 0).converted(toChannels: 1).pixels == [150])
    #expect(pixel(200, 100, 50).brightness(2) == pixel(255, 200, 100))
    #expect(pixel(200, 100, 50).solarized(threshold: 100) == pixel(55, 155, 50))
    #expect(pixel(0b1010_1010, 0b0101_0101, 255).posterized(bits: 4) == pixel(160, 80, 240))
  }

  @Test func histogramsAreStretched() {
    let image = Image(width: 4, height: 1, channels: 1, pixels: [50, 60, 75, 100])
    #expect(image.autoContrast().pixels == [0, 51, 128, 255])
    #expect(plain.autoContrast() == plain && plain.equalized() == plain)
    let dark = Image(width: 32, height: 32, channels: 1, pixels: (0..<1024).map { UInt8($0 / 32) })
    let equal = dark.equalized().pixels
    #expect(equal.min() == 0 && equal.max() == 255 && Set(equal).count == 32)
  }

  @Test func shiftsFillWithBlack() {
    let image = Image(width: 2, height: 2, channels: 1, pixels: [1, 2, 3, 4])
    #expect(image.shifted(margin: 1, left: 0, top: 1).pixels == [0, 1, 0, 3])
    #expect(image.shifted(margin: 1, left: 2, top: 2).pixels == [4, 0, 0, 0])
    #expect(image.shifted(margin: 5, left: 10, top: 0).pixels == [0, 0, 0, 0])
    #expect(image.mirrored().pixels == [2, 1, 4, 3])
  }

  @Test func everyOperationKeepsTheShape() {
    for magnitude in [0, 10] as [Double] {
      let random = RandAugment(operations: 1, magnitude: magnitude)
      for operation in RandAugment.Operation.allCases {
        for image in [colourful, plain] {
          for sign in [-1, 1] as [Double] {
            let changed = random.apply(operation, to: image, sign: sign)
            #expect(changed.width == image.width && changed.channels == image.channels)
            if magnitude == 0 && ![.autoContrast, .equalize].contains(operation) {
              #expect(changed == image, "\(operation)")
            }
          }
        }
      }
    }
    let moved = RandAugment(operations: 1, magnitude: 10).apply(.translateX, to: plain, sign: 1)
    #expect(moved.pixels.contains(128) && moved.pixels.contains(77))
  }
}

@Suite struct AugmentationTests {
  @Test func everyPresetGivesTheModelsSize() {
    for (name, augmentation) in Augmentation.presets {
      for (width, height) in [(6, 4), (1, 1), (1, 90), (300, 2)] {
        for channels in [1, 3] {
          let image = Image(
            width: width, height: height, channels: channels,
            pixels: .init(repeating: 5, count: width * height * channels))
          let preprocessing = rawBytes(8, channels: 4 - channels)
          var random = RandomNumbers(seed: 1, .sample)
          let changed = augmentation.apply(to: image, for: preprocessing, random: &random)
          #expect(changed.width == 8 && changed.height == 8, "\(name)")
          #expect(changed.channels == 4 - channels)
        }
      }
    }
  }

  @Test func configurationKeepsDefaults() throws {
    let decoder = JSONDecoder()
    let text = """
      {"horizontal_flip": 0.5, "cut_mix": 1, "rand_augment": {"magnitude": 5},
       "color_jitter": {"hue": 0.1}, "random_resized_crop": {"scale": [0.3, 1]}}
      """
    let decoded = try decoder.decode(Augmentation.self, from: Foundation.Data(text.utf8))
    var expected = Augmentation.none
    expected.horizontalFlip = 0.5
    expected.cutMix = 1
    expected.randAugment = RandAugment(operations: 2, magnitude: 5)
    expected.colorJitter = ColorJitter(brightness: 0, contrast: 0, saturation: 0, hue: 0.1)
    expected.randomResizedCrop = RandomResizedCrop(scale: [0.3, 1])
    #expect(decoded == expected)
    let encoded = try JSONEncoder().encode(Augmentation.strong)
    #expect(try JSONDecoder().decode(Augmentation.self, from: encoded) == .strong)
  }

  @Test func impossibleValuesAreNamed() {
    func expect(_ name: String, _ change: (inout Augmentation) -> Void) {
      var augmentation = Augmentation()
      change(&augmentation)
      let error = mingleError { try augmentation.validate() }
      #expect(error?.kind == .usage && error?.what.contains(name) == true)
    }
    expect("horizontal_flip") { $0.horizontalFlip = 1.5 }
    expect("mixup") { $0.mixup = -1 }
    expect("label_smoothing") { $0.labelSmoothing = .nan }
    expect("padding") { $0.padding = -1 }
    expect("scale") { $0.randomResizedCrop = RandomResizedCrop(scale: [1]) }
    expect("ratio") { $0.randomResizedCrop = RandomResizedCrop(ratio: [2, 1]) }
    expect("magnitude") { $0.randAugment = RandAugment(magnitude: 30) }
    expect("hue") { $0.colorJitter = ColorJitter(hue: 0.6) }
  }

  @Test func erasingChangesARectangleOnly() {
    var augmentation = Augmentation()
    augmentation.randomErasing = 1
    var values = [Float](repeating: 9, count: 3 * 16 * 16)
    var random = RandomNumbers(seed: 5, .sample)
    values.withUnsafeMutableBufferPointer {
      augmentation.erase($0, channels: 3, size: 16, random: &random)
    }
    let erased = (0..<256).filter { values[$0] != 9 }
    let rows = Set(erased.map { $0 / 16 }), columns = Set(erased.map { $0 % 16 })
    #expect(erased.count == rows.count * columns.count)
    #expect((4...85).contains(erased.count))
    #expect(erased.allSatisfy { values[256 + $0] != 9 && values[512 + $0] != 9 })
  }

  /// Four pictures of one value each: shares can be read off the pixels.
  private func mixed(
    _ augmentation: Augmentation, seed: UInt64
  ) -> (images: [Float], targets: [Float]) {
    var images = (0..<4).flatMap { [Float](repeating: Float($0), count: 64) }
    var random = RandomNumbers(seed: seed, .batch)
    let targets = images.withUnsafeMutableBufferPointer {
      augmentation.mix(
        $0, channels: 1, size: 8, labels: [0, 1, 2, 3], classCount: 5, random: &random)
    }
    return (images, targets)
  }

  @Test(arguments: ["mixup", "cutmix", "both", "smooth"]) func targetsFollowThePixels(
    _ kind: String
  ) {
    var augmentation = Augmentation()
    if kind != "cutmix" && kind != "smooth" { augmentation.mixup = 0.8 }
    if kind != "mixup" && kind != "smooth" { augmentation.cutMix = 1 }
    augmentation.labelSmoothing = 0.1
    for seed in 0..<40 as Range<UInt64> {
      let (images, targets) = mixed(augmentation, seed: seed)
      for row in 0..<4 {
        let target = targets[(5 * row)..<(5 * row + 5)]
        #expect(abs(target.reduce(0, +) - 1) < 1e-5)
        #expect(target.allSatisfy { $0 > 0.0199 })
        // The mean pixel is the share-weighted mean of the two pictures' values.
        let mean = images[(64 * row)..<(64 * row + 64)].reduce(0, +) / 64
        let share = (target[5 * row + row] - 0.02) / 0.9
        let partner = Float(3 - row)
        #expect(abs(mean - (share * Float(row) + (1 - share) * partner)) < 1e-4)
      }
    }
  }
}

@Suite struct RandomNumberTests {
  @Test func keysGiveDifferentNumbers() {
    var seen = Set<UInt64>()
    for purpose in [RandomNumbers.Purpose.order, .sample, .batch, .split] {
      for epoch in 0..<5 {
        for position in 0..<20 {
          var random = RandomNumbers(seed: 1, purpose, epoch: epoch, position: position)
          seen.insert(random.next())
        }
      }
    }
    #expect(seen.count == 400)
  }

  /// Saved runs depend on these numbers: they must never change.
  @Test func numbersAreFixed() {
    var random = RandomNumbers(seed: 42, .sample, epoch: 3, position: 7)
    #expect(
      [random.next(), random.next()] == [2_111_754_332_912_196_830, 4_653_223_231_070_196_505])
    #expect(random.permutation(8) == [3, 0, 1, 6, 4, 7, 5, 2])
  }

  @Test func distributions() {
    var random = RandomNumbers(seed: 9, .sample)
    let count = 20_000
    let uniform = (0..<count).map { _ in random.uniform() }
    #expect(uniform.allSatisfy { (0..<1).contains($0) })
    #expect(abs(uniform.reduce(0, +) / Double(count) - 0.5) < 0.01)
    let normal = (0..<count).map { _ in random.normal() }
    #expect(abs(normal.reduce(0, +) / Double(count)) < 0.03)
    #expect(abs(normal.reduce(0) { $0 + $1 * $1 } / Double(count) - 1) < 0.05)
    for alpha in [0.2, 1, 4] {
      let beta = (0..<count).map { _ in random.beta(alpha) }
      #expect(beta.allSatisfy { (0...1).contains($0) })
      let variance = beta.reduce(0) { $0 + ($1 - 0.5) * ($1 - 0.5) } / Double(count)
      #expect(abs(variance - 1 / (4 * (2 * alpha + 1))) < 0.005)
    }
    #expect(Set((0..<200).map { _ in random.below(7) }) == Set(0..<7))
    #expect(random.permutation(50).sorted() == Array(0..<50))
  }
}
