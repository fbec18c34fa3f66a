import CImageCodecs

// Factor 1 leaves a picture as it is, 0 removes the quality, more than 1 exaggerates it.

extension Image {
  /// Every value times `factor`.
  package func brightness(_ factor: Double) -> Image {
    mapped { Double($0) * factor }
  }

  /// The distance of every value to the mean luma times `factor`.
  package func contrast(_ factor: Double) -> Image {
    let luma = converted(toChannels: 1).pixels
    let sum = luma.withUnsafeBufferPointer { $0.reduce(0) { $0 + Int($1) } }
    let mean = (Double(sum) / Double(luma.count)).rounded()
    return mapped { mean + factor * (Double($0) - mean) }
  }

  /// The distance of every pixel to its luma times `factor`.
  package func saturation(_ factor: Double) -> Image {
    if channels == 1 { return self }
    return blended(with: converted(toChannels: 1).converted(toChannels: 3), weight: factor)
  }

  /// The distance of every pixel to its smoothed neighbourhood times `factor`.
  package func sharpness(_ factor: Double) -> Image {
    let smooth = Image(width: width, height: height, channels: channels) { output in
      withSource { ci_smooth($0, output) }
    }
    return blended(with: smooth, weight: factor)
  }

  /// The hue turned by part of the colour circle: 0.5 exchanges red and cyan.
  package func hue(_ turn: Double) -> Image {
    if channels == 1 { return self }
    return Image(width: width, height: height, channels: channels) { output in
      ci_turn_hue(pixels, pixelCount, Float(turn), output)
    }
  }

  /// The upper `bits` of every value.
  package func posterized(bits: Int) -> Image {
    let mask = UInt8(truncatingIfNeeded: 0xFF << (8 - bits))
    return mapped { Double($0 & mask) }
  }

  /// Values from `threshold` on inverted.
  package func solarized(threshold: Double) -> Image {
    mapped { Double($0) >= threshold ? 255 - Double($0) : Double($0) }
  }

  /// The darkest value of each channel becomes 0, the brightest 255.
  package func autoContrast() -> Image {
    mappedByHistogram { histogram in
      guard let low = histogram.firstIndex(where: { $0 > 0 }),
        let high = histogram.lastIndex(where: { $0 > 0 }), low < high
      else { return nil }
      return (0..<256).map { Double(255 * ($0 - low)) / Double(high - low) }
    }
  }

  /// Each channel's values spread so that each range of brightness holds as many pixels: the share
  /// of the pixels that are darker, 0 for the darkest value and 255 for the brightest.
  package func equalized() -> Image {
    mappedByHistogram { histogram in
      guard let last = histogram.last(where: { $0 > 0 }) else { return nil }
      if last == pixelCount { return nil }
      var below = 0
      return histogram.map { count in
        defer { below += count }
        return Double(255 * below) / Double(pixelCount - last)
      }
    }
  }

  private func blended(with other: Image, weight: Double) -> Image {
    Image(width: width, height: height, channels: channels) { output in
      ci_blend(pixels, other.pixels, pixels.count, Float(weight), output)
    }
  }

  private func mapped(_ value: (UInt8) -> Double) -> Image {
    let table = (0...255).map { clipped(value(UInt8($0))) }
    return mapped(by: Array(repeating: table, count: channels).flatMap { $0 })
  }

  /// Maps each channel by the table that `table` makes of its histogram; nil leaves it as it is.
  private func mappedByHistogram(_ table: ([Int]) -> [Double]?) -> Image {
    var histograms = [Int](repeating: 0, count: 256 * channels)
    pixels.withUnsafeBufferPointer { input in
      histograms.withUnsafeMutableBufferPointer { histograms in
        for i in 0..<pixelCount {
          for c in 0..<channels { histograms[256 * c + Int(input[i * channels + c])] += 1 }
        }
      }
    }
    let tables = (0..<channels).flatMap { c -> [UInt8] in
      let histogram = Array(histograms[(256 * c)..<(256 * (c + 1))])
      return table(histogram)?.map(clipped) ?? Array(0...255)
    }
    return mapped(by: tables)
  }

  private func mapped(by tables: [UInt8]) -> Image {
    Image(width: width, height: height, channels: channels) { output in
      ci_map(pixels, pixelCount, Int32(channels), tables, output)
    }
  }
}

private func clipped(_ value: Double) -> UInt8 {
  UInt8(max(0, min(255, value.rounded())))
}
