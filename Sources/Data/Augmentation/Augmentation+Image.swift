import Foundation
import Models

extension Augmentation {
  /// The picture at the model's size and channels, changed by the random numbers.
  package func apply(
    to image: Image, for preprocessing: Preprocessing, random: inout RandomNumbers
  ) -> Image {
    let plan = cropPlan(
      width: image.width, height: image.height, for: preprocessing, random: &random)
    if let plan { return changed(image.withPart(plan.box, plan.image), random: &random) }
    let whole = image.converted(toChannels: preprocessing.mean.count)
    return changed(whole.prepared(for: preprocessing), random: &random)
  }

  /// Writes a changed picture's normalised values: channels x height x width.
  func write(
    _ image: Image, for preprocessing: Preprocessing, _ normalization: Normalization,
    random: inout RandomNumbers, to output: UnsafeMutablePointer<Float>
  ) {
    if endsWithCrop,
      let plan = cropPlan(
        width: image.width, height: image.height, for: preprocessing, random: &random)
    {
      image.withPart(plan.box) { plan.write($0, normalization, to: output) }
    } else {
      normalization.write(apply(to: image, for: preprocessing, random: &random), to: output)
    }
  }

  /// Writes a changed JPEG picture's normalised values, of which only the random crop is decoded.
  ///
  /// - Throws: `MingleError` as ``Image/init(decoding:pixelLimit:)``.
  func write(
    _ jpeg: EncodedPicture, for preprocessing: Preprocessing, _ normalization: Normalization,
    random: inout RandomNumbers, to output: UnsafeMutablePointer<Float>
  ) throws {
    try jpeg.withUnsafeBytes { bytes in
      let file = try OpenJPEG(bytes, named: jpeg.name, pixelLimit: Image.defaultPixelLimit)
      let plan = cropPlan(
        width: file.width, height: file.height, for: preprocessing, random: &random)
      guard let plan else {
        let image = try Image(decoding: jpeg)
        return write(image, for: preprocessing, normalization, random: &random, to: output)
      }
      if endsWithCrop {
        try file.withPart(plan.box, for: plan.size) { plan.write($0, normalization, to: output) }
      } else {
        let image = try file.withPart(plan.box, for: plan.size, plan.image)
        normalization.write(changed(image, random: &random), to: output)
      }
    }
  }

  /// Whether the values after a random crop, and its flip, are the model's input.
  private var endsWithCrop: Bool { padding == 0 && randAugment == nil && colorJitter == nil }

  /// Draws the crop, and the flip when nothing lies between; nil when no random crop is wanted.
  private func cropPlan(
    width: Int, height: Int, for preprocessing: Preprocessing, random: inout RandomNumbers
  ) -> CropPlan? {
    guard let crop = randomResizedCrop else { return nil }
    return CropPlan(
      box: crop.box(width: width, height: height, random: &random),
      size: preprocessing.imageSize, channels: preprocessing.mean.count,
      interpolation: preprocessing.interpolation,
      isMirrored: padding == 0 && random.chance(horizontalFlip))
  }

  /// What follows a crop.
  private func changed(_ image: Image, random: inout RandomNumbers) -> Image {
    var image = image
    if padding > 0 {
      let left = random.below(2 * padding + 1), top = random.below(2 * padding + 1)
      image = image.shifted(margin: padding, left: left, top: top)
    }
    let isFlipDrawn = randomResizedCrop != nil && padding == 0
    if !isFlipDrawn, random.chance(horizontalFlip) { image = image.mirrored() }
    if let randAugment { image = randAugment.apply(to: image, random: &random) }
    if let colorJitter { image = colorJitter.apply(to: image, random: &random) }
    return image
  }
}

extension RandomResizedCrop {
  /// Ten draws of area and ratio; when none fits, the largest centred part of an allowed ratio.
  func box(width: Int, height: Int, random: inout RandomNumbers) -> PixelBox {
    let area = Double(width * height)
    for _ in 0..<10 {
      let target = area * random.uniform(scale[0], scale[1])
      let ratio = exp(random.uniform(log(ratio[0]), log(ratio[1])))
      let columns = Int((target * ratio).squareRoot().rounded())
      let rows = Int((target / ratio).squareRoot().rounded())
      guard (1...width).contains(columns), (1...height).contains(rows) else { continue }
      return PixelBox(
        left: random.below(width - columns + 1), top: random.below(height - rows + 1),
        width: columns, height: rows)
    }
    let shape = Double(width) / Double(height)
    var columns = width, rows = height
    if shape < ratio[0] { rows = max(1, min(height, Int(Double(width) / ratio[0]))) }
    if shape > ratio[1] { columns = max(1, min(width, Int(Double(height) * ratio[1]))) }
    return PixelBox(
      left: (width - columns) / 2, top: (height - rows) / 2, width: columns, height: rows)
  }
}

extension ColorJitter {
  func apply(to image: Image, random: inout RandomNumbers) -> Image {
    var image = image
    func factor(_ amount: Double, _ random: inout RandomNumbers) -> Double {
      random.uniform(max(0, 1 - amount), 1 + amount)
    }
    for step in random.permutation(4) {
      switch step {
      case 0 where brightness > 0: image = image.brightness(factor(brightness, &random))
      case 1 where contrast > 0: image = image.contrast(factor(contrast, &random))
      case 2 where saturation > 0: image = image.saturation(factor(saturation, &random))
      case 3 where hue > 0: image = image.hue(random.uniform(-hue, hue))
      default: break
      }
    }
    return image
  }
}

extension RandAugment {
  /// The paper's fourteen operations.
  package enum Operation: CaseIterable {
    case identity, autoContrast, equalize, rotate, solarize, posterize
    case saturation, contrast, brightness, sharpness
    case shearX, shearY, translateX, translateY
  }

  func apply(to image: Image, random: inout RandomNumbers) -> Image {
    let all = Operation.allCases
    return (0..<operations).reduce(image) { image, _ in
      let operation = all[random.below(all.count)]
      return apply(operation, to: image, sign: random.chance(0.5) ? -1 : 1)
    }
  }

  /// At magnitude 10: rotation by 30 degrees, shear by 0.3, translation by 0.45 of the side, colour
  /// factors 0.1 or 1.9, 4 bits, everything solarized.
  package func apply(_ operation: Operation, to image: Image, sign: Double) -> Image {
    let strength = magnitude / 10
    func moved(_ map: AffineMap) -> Image {
      image.warped(map.about(x: Double(image.width) / 2, y: Double(image.height) / 2))
    }
    switch operation {
    case .identity: return image
    case .autoContrast: return image.autoContrast()
    case .equalize: return image.equalized()
    case .rotate:
      let angle = sign * strength * .pi / 6
      return moved(AffineMap(a: cos(angle), b: sin(angle), d: -sin(angle), e: cos(angle)))
    case .solarize: return image.solarized(threshold: 256 * (1 - strength))
    case .posterize: return image.posterized(bits: 8 - Int((4 * strength).rounded()))
    case .saturation: return image.saturation(1 + sign * 0.9 * strength)
    case .contrast: return image.contrast(1 + sign * 0.9 * strength)
    case .brightness: return image.brightness(1 + sign * 0.9 * strength)
    case .sharpness: return image.sharpness(1 + sign * 0.9 * strength)
    case .shearX: return moved(AffineMap(b: sign * 0.3 * strength))
    case .shearY: return moved(AffineMap(d: sign * 0.3 * strength))
    case .translateX: return moved(AffineMap(c: sign * 0.45 * strength * Double(image.width)))
    case .translateY: return moved(AffineMap(f: sign * 0.45 * strength * Double(image.height)))
    }
  }
}
