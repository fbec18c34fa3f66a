import CImageCodecs

extension Image {
  /// Left and right exchanged.
  public func mirrored() -> Image {
    Image(width: width, height: height, channels: channels) { output in
      ci_mirror(pixels, Int32(width), Int32(height), Int32(channels), output)
    }
  }

  /// The window of this picture's size at (`left`, `top`) after `margin` black pixels were added
  /// on each side; both offsets are in 0 ... 2 margin.
  package func shifted(margin: Int, left: Int, top: Int) -> Image {
    let across = left - margin, down = top - margin
    if across == 0 && down == 0 { return self }
    return Image(width: width, height: height, channels: channels) { output in
      pixels.withUnsafeBufferPointer { input in
        guard let input = input.baseAddress else { return }
        output.update(repeating: 0, count: pixels.count)
        let columns = width - abs(across)
        guard columns > 0 else { return }
        for y in max(0, -down)..<max(0, -down, min(height, height - down)) {
          let source = ((y + down) * width + max(0, across)) * channels
          let target = (y * width + max(0, -across)) * channels
          (output + target).update(from: input + source, count: columns * channels)
        }
      }
    }
  }

  /// Moves content by an affine map of pixel coordinates: output (x, y) shows the input at
  /// `(a x + b y + c, d x + e y + f)`, bilinear, gray 128 outside.
  func warped(_ matrix: AffineMap) -> Image {
    Image(width: width, height: height, channels: channels) { output in
      withSource {
        ci_warp(
          $0, [matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f], 128, output)
      }
    }
  }
}

/// `(x, y) -> (a x + b y + c, d x + e y + f)`.
struct AffineMap {
  var a = 1.0, b = 0.0, c = 0.0
  var d = 0.0, e = 1.0, f = 0.0

  /// The same map about another origin.
  func about(x: Double, y: Double) -> AffineMap {
    AffineMap(a: a, b: b, c: c + x - a * x - b * y, d: d, e: e, f: f + y - d * x - e * y)
  }
}
