import Checkpoints
import Torch

/// Gray pictures in the IDX format of MNIST, plain or in gzip: `train-images-idx3-ubyte` with
/// `train-labels-idx1-ubyte`.
///
/// Classes are named by their numbers.
public struct IDXDataset: ImageDataset {
  public let name: String
  public let classNames: [String]
  private let labels: [Int]
  private let height: Int
  private let width: Int
  private let images: FileContents

  /// - Throws: `MingleError` (`badData`) for a wrong magic number or length, unequal counts, or a
  ///   label out of range.
  public init(images imagePath: String, labels labelPath: String, classNames: [String]? = nil)
    throws
  {
    images = try FileContents(imagePath)
    let shape = try images.idxShape(dimensions: 3)
    let labelFile = try FileContents(labelPath)
    let labelShape = try labelFile.idxShape(dimensions: 1)
    guard shape[0] > 0, (1...1 << 14).contains(shape[1]), (1...1 << 14).contains(shape[2]) else {
      throw MingleError(
        .badData, "no pictures of a usable size", in: imagePath,
        expected: "at least one, with sides of 1 to \(1 << 14) pixels",
        got: shape.map(String.init).joined(separator: " x "))
    }
    guard shape[0] == labelShape[0] else {
      throw MingleError(
        .badData, "labels that do not belong to the pictures", in: labelPath,
        expected: "\(shape[0]) labels", got: "\(labelShape[0])")
    }
    name = imagePath
    (height, width) = (shape[1], shape[2])
    let numbers = labelFile.withUnsafeBytes { bytes in bytes.dropFirst(8).map(Int.init) }
    let checked = try Labels(numbers: numbers, names: classNames, in: labelPath)
    self.classNames = checked.classNames
    labels = checked.indices
  }

  public var count: Int { labels.count }
  public var isDecoded: Bool { true }
  public func label(at index: Int) -> Int { labels[index] }
  public func sampleName(at index: Int) -> String { "\(name), picture \(index)" }

  public func image(at index: Int) throws -> Image {
    let start = 16 + index * height * width
    return Image(width: width, height: height, channels: 1) { output in
      images.withUnsafeBytes { bytes in
        UnsafeMutableRawPointer(output).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: bytes[start..<(start + height * width)]))
      }
    }
  }
}

extension UnsafeMutableRawPointer {
  fileprivate func copyMemory(from source: UnsafeRawBufferPointer) {
    if let base = source.baseAddress { copyMemory(from: base, byteCount: source.count) }
  }
}

extension FileContents {
  /// The sizes in an IDX header of bytes, checked against the file's length.
  fileprivate func idxShape(dimensions: Int) throws -> [Int] {
    try withUnsafeBytes { bytes in
      let header = 4 + 4 * dimensions
      guard bytes.count >= header else {
        throw MingleError(
          .badData, "the file ends early", in: path, expected: "an IDX header of \(header) bytes",
          got: "\(bytes.count) bytes")
      }
      // Two zeros, 8 (unsigned bytes), the number of dimensions.
      guard bytes[0..<4].elementsEqual([0, 0, 8, UInt8(dimensions)]) else {
        throw MingleError(
          .badData, "not an IDX file of bytes in \(dimensions) dimensions", in: path,
          expected: "0 0 8 \(dimensions)",
          got: bytes[0..<4].map { String($0) }.joined(separator: " "))
      }
      let shape = (1...dimensions).map { dimension in
        bytes[(4 * dimension)..<(4 * dimension + 4)].reduce(0) { $0 << 8 | Int($1) }
      }
      var size = 1
      for length in shape {
        let (product, overflow) = size.multipliedReportingOverflow(by: length)
        size = overflow ? Int.max : product
      }
      guard size == bytes.count - header else {
        throw MingleError(
          .badData, "the length does not fit the IDX header", in: path,
          expected: "\(shape.map(String.init).joined(separator: " x ")) bytes",
          got: "\(bytes.count - header)", next: "copy or download it again")
      }
      return shape
    }
  }
}
