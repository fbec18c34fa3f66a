import Foundation
import Models

extension Augmentation {
  /// The picture at the model's size and channels, changed by the random numbers.
  package func apply(
    to image: Image, for preprocessing: Preprocessing, random: inout RandomNumbers
  ) -> Image {
    let size = preprocessing.imageSize
    var image = image.converted(toChannels: preprocessing.mean.count)
    if let crop = randomResizedCrop {
      let box = crop.box(width: image.width, height: image.height, random: &random)
      image = image.resized(box, to: size, preprocessing.interpolation)
    } else {
      image = image.prepared(for: preprocessing)
    }
    if padding > 0 {
      let left = random.below(2 * padding + 1), top = random.below(2 * padding + 1)
      image = image.shifted(margin: padding, left: left, top: top)
    }
    if random.chance(horizontalFlip) { image = image.mirrored() }
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
