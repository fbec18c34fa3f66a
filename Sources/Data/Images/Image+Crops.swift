import CImageCodecs
import Models

/// The part of a picture that becomes a model's input, perhaps with left and right exchanged.
struct CropPlan: Hashable {
  var box: PixelBox
  var size: ImageSize
  var channels: Int
  var interpolation: Preprocessing.Interpolation
  var isMirrored: Bool

  private var resized: CIResized {
    CIResized(
      width: Int32(size.width), height: Int32(size.height), channels: Int32(channels),
      mirrored: isMirrored ? 1 : 0)
  }

  private var filter: CIFilter { interpolation == .bicubic ? CI_BICUBIC : CI_BILINEAR }

  /// The resized part, rounded to bytes once. It differs from what ``Image/resized(to:interpolation:)``
  /// makes of the part by the rounding between rows and columns there.
  func image(of area: CIArea) -> Image {
    Image(width: size.width, height: size.height, channels: channels) { output in
      withUnsafePointer(to: area) { area in
        withUnsafePointer(to: resized) { resized in
          check(ci_resize_to_bytes(area, resized, filter, output))
        }
      }
    }
  }

  /// Writes the resized part's normalised values, which are never rounded to bytes.
  func write(
    _ area: CIArea, _ normalization: Normalization, to output: UnsafeMutablePointer<Float>
  ) {
    withUnsafePointer(to: area) { area in
      withUnsafePointer(to: resized) { resized in
        check(
          ci_resize_to_floats(
            area, resized, filter, normalization.scale, normalization.shift, output))
      }
    }
  }

  private func check(_ status: Int32) {
    precondition(status == 0, "not enough memory to resize a picture")
  }
}

extension Image {
  /// Calls `body` with a part of the picture.
  func withPart<Result>(_ box: PixelBox, _ body: (CIArea) -> Result) -> Result {
    withSource(left: box.left, top: box.top, width: box.width, height: box.height) {
      body(
        CIArea(
          source: $0.pointee, left: 0, top: 0, width: Double(box.width),
          height: Double(box.height)))
    }
  }
}
