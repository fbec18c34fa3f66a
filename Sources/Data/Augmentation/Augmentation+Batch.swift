import Foundation
import Models

// On normalised floats: pictures are planes, [B, C, H, W].

extension Augmentation {
  /// Random erasing (1708.04896): a rectangle of 2 to 33 % of the area and a ratio of 0.3 to 3.3
  /// becomes noise of N(0, 1).
  package func erase(
    _ planes: UnsafeMutableBufferPointer<Float>, channels: Int, size: ImageSize,
    random: inout RandomNumbers
  ) {
    guard random.chance(randomErasing) else { return }
    let area = Double(size.height * size.width)
    for _ in 0..<10 {
      let target = area * random.uniform(0.02, 0.33)
      let ratio = exp(random.uniform(log(0.3), log(3.3)))
      let rows = Int((target * ratio).squareRoot().rounded())
      let columns = Int((target / ratio).squareRoot().rounded())
      guard (1..<size.height).contains(rows), (1..<size.width).contains(columns) else { continue }
      let top = random.below(size.height - rows + 1), left = random.below(size.width - columns + 1)
      for c in 0..<channels {
        for y in top..<(top + rows) {
          let start = (c * size.height + y) * size.width + left
          for x in start..<(start + columns) { planes[x] = Float(random.normal()) }
        }
      }
      return
    }
  }

  /// Blends each sample with the one at the same place from the end, in place.
  ///
  /// - Returns: The targets [B, K], each row with sum 1.
  package func mix(
    _ images: UnsafeMutableBufferPointer<Float>, channels: Int, size: ImageSize, labels: [Int],
    classCount: Int, random: inout RandomNumbers
  ) -> [Float] {
    var share = 1.0  // of the sample itself
    let batch = MixedBatch(images: images, channels: channels, size: size, count: labels.count)
    if cutMix > 0, mixup == 0 || random.chance(0.5) {
      share = batch.cut(random.beta(cutMix), random: &random)
    } else if mixup > 0 {
      share = random.beta(mixup)
      batch.blend(Float(share))
    }

    let spread = Float(labelSmoothing / Double(classCount))
    var targets = [Float](repeating: spread, count: labels.count * classCount)
    for (row, label) in labels.enumerated() {
      let partner = labels[labels.count - 1 - row]
      targets[row * classCount + label] += Float((1 - labelSmoothing) * share)
      targets[row * classCount + partner] += Float((1 - labelSmoothing) * (1 - share))
    }
    return targets
  }
}

private struct MixedBatch {
  let images: UnsafeMutableBufferPointer<Float>
  let channels: Int
  let size: ImageSize
  let count: Int

  private var imageCount: Int { channels * size.height * size.width }

  /// Mixup (1710.09412): `share` of the sample, the rest of its partner.
  func blend(_ share: Float) {
    for i in 0..<(count / 2) {
      let first = i * imageCount, second = (count - 1 - i) * imageCount
      for k in 0..<imageCount {
        let a = images[first + k], b = images[second + k]
        images[first + k] = b + share * (a - b)
        images[second + k] = a + share * (b - a)
      }
    }
  }

  /// CutMix (1905.04899): exchanges a rectangle of about `1 - share` of the area, cut off at the
  /// picture's edge; returns the share that is left.
  func cut(_ share: Double, random: inout RandomNumbers) -> Double {
    let side = (1 - share).squareRoot()
    func span(_ length: Int, _ random: inout RandomNumbers) -> Range<Int> {
      let half = Int(Double(length) * side) / 2
      let centre = random.below(length)
      return max(0, centre - half)..<min(length, centre + half)
    }
    let rows = span(size.height, &random), columns = span(size.width, &random)
    for i in 0..<(count / 2) {
      let first = i * imageCount, second = (count - 1 - i) * imageCount
      for c in 0..<channels {
        for y in rows {
          let row = (c * size.height + y) * size.width
          for x in columns { images.swapAt(first + row + x, second + row + x) }
        }
      }
    }
    return 1 - Double(rows.count * columns.count) / Double(size.height * size.width)
  }
}
