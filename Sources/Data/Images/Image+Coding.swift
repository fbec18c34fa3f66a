import CImageCodecs
import Foundation
import Torch

extension Image {
  /// The most pixels that a file may have unless the caller says otherwise: 100 megapixels
  /// (300 MB decoded). A small file can claim, or even hold, far more.
  public static let defaultPixelLimit = 100_000_000

  /// Decodes a JPEG or PNG file.
  ///
  /// - Throws: `MingleError` that names the file and the reason; see ``init(decoding:named:pixelLimit:)``.
  public init(contentsOf path: String, pixelLimit: Int = defaultPixelLimit) throws {
    try self.init(decoding: EncodedPicture(contentsOf: path), pixelLimit: pixelLimit)
  }

  /// Decodes a JPEG or PNG file in memory, upright (EXIF orientation applied).
  ///
  /// JPEG: baseline, progressive, gray, YCbCr, RGB, CMYK and YCCK (as R = (255 - K)(255 - C) / 255,
  /// in Adobe's inverted storage). PNG: every depth and layout; alpha is dropped, not blended, and
  /// of 16 bits the high byte is taken. Bytes equal those of libjpeg-turbo's accurate integer
  /// transform with smooth chroma upsampling.
  ///
  /// - Throws: `MingleError` (`badData`) for another format, a damaged or truncated file, or a
  ///   header with more than `pixelLimit` pixels, which is refused before anything is allocated.
  public init(
    decoding data: some ContiguousBytes, named name: String, pixelLimit: Int = defaultPixelLimit
  ) throws {
    self = try data.withUnsafeBytes { buffer in
      try Image(decoding: buffer, named: name, pixelLimit: pixelLimit)
    }
  }

  init(decoding buffer: UnsafeRawBufferPointer, named name: String, pixelLimit: Int) throws {
    let bytes = buffer.bindMemory(to: UInt8.self)
    var header = CIHeader()
    try codec(name) {
      ci_read_header(bytes.baseAddress, bytes.count, Int64(pixelLimit), &header, $0)
    }
    try self.init(
      width: Int(header.width), height: Int(header.height), channels: Int(header.channels)
    ) { pixels in
      try codec(name) { ci_decode(bytes.baseAddress, bytes.count, &header, pixels, $0) }
    }
  }

  /// The picture as a PNG file.
  ///
  /// - Throws: `MingleError` (`failed`) when libpng refuses (a side above a million pixels).
  public func encodedAsPNG() throws -> [UInt8] {
    var bytes: UnsafeMutablePointer<UInt8>?
    var count = 0
    defer { free(bytes) }
    try codec("PNG", kind: .failed, what: "the picture cannot be written") {
      ci_encode_png(
        pixels, Int32(clamping: width), Int32(clamping: height), Int32(channels), &bytes, &count, $0
      )
    }
    return Array(UnsafeBufferPointer(start: bytes, count: count))
  }
}

/// Runs a C function that returns 0 or leaves its reason in the buffer.
func codec(
  _ name: String, kind: MingleError.Kind = .badData, what: String = "the picture cannot be read",
  _ body: (UnsafeMutablePointer<CChar>) -> Int32
) throws {
  try withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(CI_MESSAGE_SIZE)) { message in
    guard let base = message.baseAddress else { return }
    base.pointee = 0
    guard body(base) != 0 else { return }
    throw MingleError(kind, "\(what) (\(String(cString: base)))", in: name)
  }
}
