import CImageCodecs
import Models

/// Part of a picture in pixels.
struct PixelBox: Hashable, Sendable {
  var left: Int
  var top: Int
  var width: Int
  var height: Int
}

extension Image {
  /// Resizes the whole picture with an antialiased kernel, to the byte as Pillow does: rows first,
  /// rounded to 8 bits, then columns.
  public func resized(
    to size: ImageSize, interpolation: Preprocessing.Interpolation = .bicubic
  ) -> Image {
    resampled(
      PixelBox(left: 0, top: 0, width: width, height: height), width: size.width,
      height: size.height,
      window: PixelBox(left: 0, top: 0, width: size.width, height: size.height), interpolation)
  }

  /// `box`, resized to `width` x `height`, of which only `window` is computed.
  func resampled(
    _ box: PixelBox, width: Int, height: Int, window: PixelBox,
    _ interpolation: Preprocessing.Interpolation
  ) -> Image {
    if box.width == width && box.height == height {
      return cropped(
        PixelBox(
          left: box.left + window.left, top: box.top + window.top, width: window.width,
          height: window.height))
    }
    var target = CITarget(
      width: Int64(width), height: Int64(height), left: Int64(window.left), top: Int64(window.top),
      windowWidth: Int32(window.width), windowHeight: Int32(window.height))
    let filter = interpolation == .bicubic ? CI_BICUBIC : CI_BILINEAR
    return Image(width: window.width, height: window.height, channels: channels) { output in
      let status = withSource(
        left: box.left, top: box.top, width: box.width, height: box.height
      ) {
        ci_resample($0, &target, filter, output)
      }
      precondition(status == 0, "not enough memory to resize a picture")
    }
  }

  func cropped(_ box: PixelBox) -> Image {
    if box.width == width && box.height == height { return self }
    return Image(width: box.width, height: box.height, channels: channels) { output in
      pixels.withUnsafeBufferPointer { input in
        guard let input = input.baseAddress else { return }
        let rowBytes = box.width * channels
        for y in 0..<box.height {
          let start = ((box.top + y) * width + box.left) * channels
          (output + y * rowBytes).update(from: input + start, count: rowBytes)
        }
      }
    }
  }
}

extension Image {
  /// The picture at the model's size and channel count: shorter side resized to
  /// `imageSize / cropFraction` (rounded down; the other side in proportion, rounded down), centre
  /// cropped, gray or colour as `mean` has one or three values.
  ///
  /// For a size that is not square the picture is resized so that it just covers the size.
  public func prepared(for preprocessing: Preprocessing) -> Image {
    let plan = CentreCrop(of: self, for: preprocessing)
    return converted(toChannels: preprocessing.mean.count).resampled(
      PixelBox(left: 0, top: 0, width: width, height: height), width: plan.width,
      height: plan.height, window: plan.window, preprocessing.interpolation)
  }
}

/// The resized sides of a picture and the window that is kept of them.
struct CentreCrop: Hashable {
  var width: Int
  var height: Int
  var window: PixelBox

  init(of image: Image, for preprocessing: Preprocessing) {
    let size = preprocessing.imageSize
    func enlarged(_ side: Int) -> Int {
      max(side, Int((Double(side) / preprocessing.cropFraction).rounded(.down)))
    }
    width = enlarged(size.width)
    height = enlarged(size.height)
    // The side that needs the larger factor is met exactly.
    if width * image.height >= height * image.width {
      height = max(height, width * image.height / image.width)
    } else {
      width = max(width, height * image.width / image.height)
    }
    window = PixelBox(
      left: halfToEven(width - size.width), top: halfToEven(height - size.height),
      width: size.width, height: size.height)
  }
}

/// Half of a count, rounded to the nearest even number when it is odd.
private func halfToEven(_ count: Int) -> Int {
  let half = count / 2
  return count.isMultiple(of: 2) || half.isMultiple(of: 2) ? half : half + 1
}
