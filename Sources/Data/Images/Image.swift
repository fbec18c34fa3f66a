import CImageCodecs

/// A picture of 8-bit pixels, interleaved and row by row: gray (one channel) or red, green, blue.
public struct Image: Hashable, Sendable {
  public let width: Int
  public let height: Int
  /// 1 (gray) or 3 (red, green, blue).
  public let channels: Int
  /// `height * width * channels` values.
  public let pixels: [UInt8]

  public init(width: Int, height: Int, channels: Int, pixels: [UInt8]) {
    precondition(
      width > 0 && height > 0 && (channels == 1 || channels == 3)
        && pixels.count == width * height * channels,
      "\(pixels.count) bytes for a picture of \(width)x\(height)x\(channels)")
    self.width = width
    self.height = height
    self.channels = channels
    self.pixels = pixels
  }

  /// A picture whose every byte `fill` writes.
  init(
    width: Int, height: Int, channels: Int,
    filling fill: (UnsafeMutablePointer<UInt8>) throws -> Void
  ) rethrows {
    let count = width * height * channels
    let pixels = try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      if let base = buffer.baseAddress { try fill(base) }
      initialized = count
    }
    self.init(width: width, height: height, channels: channels, pixels: pixels)
  }

  var pixelCount: Int { width * height }

  /// Calls `body` with a description of the part at (`left`, `top`) for the C functions.
  func withSource<Result>(
    left: Int = 0, top: Int = 0, width: Int? = nil, height: Int? = nil,
    _ body: (UnsafePointer<CISource>) -> Result
  ) -> Result {
    pixels.withUnsafeBufferPointer { buffer in
      var source = CISource(
        pixels: buffer.baseAddress.map { $0 + (top * self.width + left) * channels },
        rowBytes: self.width * channels, width: Int32(width ?? self.width),
        height: Int32(height ?? self.height), channels: Int32(channels))
      return body(&source)
    }
  }
}

extension Image {
  /// Gray from colour by luma (BT.601: 0.299 R + 0.587 G + 0.114 B); gray repeated as red, green
  /// and blue.
  public func converted(toChannels count: Int) -> Image {
    precondition(count == 1 || count == 3, "a picture has 1 or 3 channels, not \(count)")
    if count == channels { return self }
    return Image(width: width, height: height, channels: count) { output in
      pixels.withUnsafeBufferPointer { input in
        guard let input = input.baseAddress else { return }
        if count == 1 {
          ci_luma(input, pixelCount, output)
        } else {
          for i in 0..<pixelCount {
            let value = input[i]
            output[3 * i] = value
            output[3 * i + 1] = value
            output[3 * i + 2] = value
          }
        }
      }
    }
  }
}
