import CImageCodecs
import Checkpoints
import Foundation
import Torch

/// CIFAR-10 or CIFAR-100 in the binary version: records of one or two label bytes and 3 x 32 x 32
/// values, plane by plane (red, green, blue).
///
/// Of CIFAR-100's labels the fine one is used. Class names come from `batches.meta.txt` or
/// `fine_label_names.txt` beside the files, else they are numbers.
public struct CIFARDataset: ImageDataset {
  private static let side = 32
  private static let pixelBytes = 3 * side * side

  public let name: String
  public let classNames: [String]
  private let labels: [Int]
  private let files: [MappedFile]
  /// The number of samples before each file.
  private let starts: [Int]
  private let labelBytes: Int

  /// - Throws: `MingleError` (`badData`) when a file is no whole number of records, files have
  ///   different layouts, or a label is out of range.
  public init(_ paths: [String], name: String, classNames: [String]? = nil) throws {
    var files: [MappedFile] = []
    var starts: [Int] = []
    var labels: [Int] = []
    var layout: Int?
    for path in paths {
      let file = try MappedFile(path)
      let labelBytes = try layout ?? Self.layout(of: file)
      let record = labelBytes + Self.pixelBytes
      guard file.count > 0, file.count.isMultiple(of: record) else {
        throw MingleError(
          .badData, "not a whole number of CIFAR records", in: path,
          expected: "a multiple of \(record) bytes", got: "\(file.count)",
          next: "copy or download it again")
      }
      starts.append(labels.count)
      let range = labelBytes == 1 ? 0...9 : 0...99
      try file.withUnsafeBytes { bytes in
        for start in stride(from: 0, to: bytes.count, by: record) {
          let label = Int(bytes[start + labelBytes - 1])
          guard range.contains(label) else {
            throw MingleError(
              .badData, "a label out of range", in: "\(path), record \(start / record)",
              expected: "0 to \(range.upperBound)", got: "\(label)")
          }
          labels.append(label)
        }
      }
      files.append(file)
      layout = labelBytes
    }
    guard let layout else { throw noSamples(in: name, expected: "CIFAR files (.bin)") }
    let count = layout == 1 ? 10 : 100
    let names = try classNames ?? Self.names(beside: paths, count: count)
    let numbered = names ?? (0..<count).map(String.init)
    self.classNames = numbered
    self.labels = try Labels(numbers: labels, names: numbered, in: name).indices
    self.files = files
    self.starts = starts
    self.name = name
    labelBytes = layout
  }

  public var count: Int { labels.count }
  public var isDecoded: Bool { true }
  public func label(at index: Int) -> Int { labels[index] }

  public func sampleName(at index: Int) -> String {
    let (file, record) = place(of: index)
    return "\(file.path), record \(record)"
  }

  public func image(at index: Int) throws -> Image {
    let (file, record) = place(of: index)
    let start = record * (labelBytes + Self.pixelBytes) + labelBytes
    return Image(width: Self.side, height: Self.side, channels: 3) { output in
      file.withUnsafeBytes { bytes in
        let planes = bytes[start..<(start + Self.pixelBytes)]
        ci_interleave(
          UnsafeRawBufferPointer(rebasing: planes).bindMemory(to: UInt8.self).baseAddress,
          Self.side * Self.side, 3, output)
      }
    }
  }

  private func place(of index: Int) -> (file: MappedFile, record: Int) {
    let file = (starts.lastIndex { $0 <= index }) ?? 0
    return (files[file], index - starts[file])
  }

  /// One label byte (CIFAR-10) or two (CIFAR-100), by the file's length.
  private static func layout(of file: MappedFile) throws -> Int {
    if let labelBytes = [1, 2].first(where: { file.count.isMultiple(of: $0 + pixelBytes) }) {
      return labelBytes
    }
    throw MingleError(
      .badData, "not a CIFAR file", in: file.path,
      expected: "a multiple of \(pixelBytes + 1) bytes (CIFAR-10) or \(pixelBytes + 2) (CIFAR-100)",
      got: "\(file.count)", next: "copy or download it again")
  }

  private static func names(beside paths: [String], count: Int) throws -> [String]? {
    guard let first = paths.first else { return nil }
    let folder = URL(filePath: first).deletingLastPathComponent()
    let file = folder.appending(path: count == 10 ? "batches.meta.txt" : "fine_label_names.txt")
      .path(percentEncoded: false)
    guard FileManager.default.fileExists(atPath: file) else { return nil }
    let lines = try MappedFile(file).withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
      .split(whereSeparator: \.isNewline).map(String.init)
    guard lines.count == count, Set(lines).count == count else {
      throw MingleError(
        .badData, "wrong class names", in: file, expected: "\(count) different lines",
        got: "\(lines.count)")
    }
    return lines
  }
}
