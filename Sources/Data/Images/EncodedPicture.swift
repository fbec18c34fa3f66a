import CImageCodecs
import Checkpoints
import Foundation
import Models
import Torch

/// A picture's file as it is stored, not decoded.
public struct EncodedPicture: Sendable {
  /// What to call it in messages.
  public let name: String
  private let file: MappedFile
  private let range: Range<Int>

  /// - Throws: `MingleError` that names the file when it cannot be opened.
  public init(contentsOf path: String) throws {
    let file = try MappedFile(path)
    self.init(file, range: 0..<file.count, named: path)
  }

  init(_ file: MappedFile, range: Range<Int>, named name: String) {
    self.file = file
    self.range = range
    self.name = name
  }

  /// Its bytes; the pointer holds only inside `body`.
  public func withUnsafeBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    try file.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[range])) }
  }

  /// Whether it begins as a JPEG file.
  var isJPEG: Bool {
    withUnsafeBytes { bytes in
      bytes.withMemoryRebound(to: UInt8.self) { ci_is_jpeg($0.baseAddress, $0.count) != 0 }
    }
  }
}

extension Image {
  /// - Throws: `MingleError` as ``init(contentsOf:pixelLimit:)``.
  public init(decoding picture: EncodedPicture, pixelLimit: Int = defaultPixelLimit) throws {
    self = try picture.withUnsafeBytes {
      try Image(decoding: $0, named: picture.name, pixelLimit: pixelLimit)
    }
  }
}

/// A JPEG file of which one part will be decoded, and only what that part needs.
struct OpenJPEG: ~Copyable {
  private let handle: OpaquePointer
  private let name: String
  let width: Int
  let height: Int

  /// - Parameter bytes: must outlive what is made of them.
  /// - Throws: `MingleError` as ``Image/init(decoding:named:pixelLimit:)`` for what is wrong with the
  ///   header.
  init(_ bytes: UnsafeRawBufferPointer, named name: String, pixelLimit: Int) throws {
    let bytes = bytes.bindMemory(to: UInt8.self)
    var header = CIHeader()
    var opened: OpaquePointer?
    try codec(name) {
      opened = ci_open_jpeg(bytes.baseAddress, bytes.count, Int64(pixelLimit), &header, $0)
      return opened == nil ? -1 : 0
    }
    guard let opened else { throw MingleError(.failed, "not enough memory", in: name) }
    handle = opened
    self.name = name
    width = Int(header.width)
    height = Int(header.height)
  }

  deinit { ci_close_jpeg(handle) }

  /// Decodes the pixels from which `box` (upright) is resized to `size`.
  ///
  /// They are those of the whole picture's decoding unless the box has more than four times the
  /// size's columns and rows: then the transform halves, quarters or eighths the picture, and leaves
  /// at least twice as many.
  ///
  /// - Throws: `MingleError` (`badData`) for a damaged or truncated file.
  consuming func withPart<Result>(
    _ box: PixelBox, for size: ImageSize, _ body: (CIArea) -> Result
  ) throws -> Result {
    var wanted = CIBox(
      left: Int32(box.left), top: Int32(box.top), width: Int32(box.width),
      height: Int32(box.height))
    var area = CIArea()
    try codec(name) {
      ci_decode_part(handle, &wanted, Int32(size.width), Int32(size.height), &area, $0)
    }
    return body(area)
  }
}
