import Data
import Foundation
import Models
import Synchronization
import Testing
import Torch

/// Pictures made by `Tools/make_picture_samples.py`.
let samples = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Samples")

/// The public data sets that may lie beside the checkout.
let shared = URL(filePath: #filePath).appending(path: "../../../../shared/data").standardized

func hasShared(_ name: String) -> Bool {
  FileManager.default.fileExists(atPath: shared.appending(path: name).path)
}

/// A folder that is removed with its last reference.
final class TemporaryFolder: Sendable {
  let url = FileManager.default.temporaryDirectory
    .appending(path: "mingle-data-\(UUID().uuidString)", directoryHint: .isDirectory)

  var path: String { url.path }

  init() throws {
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  /// Writes a file, with the folders above it, and returns its path.
  @discardableResult
  func write(_ name: String, _ bytes: [UInt8]) throws -> String {
    let file = url.appending(path: name)
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Foundation.Data(bytes).write(to: file)
    return file.path
  }

  @discardableResult
  func write(_ name: String, _ text: String) throws -> String {
    try write(name, Array(text.utf8))
  }
}

/// A picture of one colour as PNG.
func png(_ value: UInt8, width: Int = 8, height: Int = 8, channels: Int = 3) throws -> [UInt8] {
  try Image(
    width: width, height: height, channels: channels,
    pixels: Array(repeating: value, count: width * height * channels)
  ).encodedAsPNG()
}

/// The error that `body` throws; an issue is recorded when it throws none or another.
func mingleError<Value>(
  _ location: SourceLocation = #_sourceLocation, _ body: () throws -> Value
) -> MingleError? {
  do {
    _ = try body()
    Issue.record("no error", sourceLocation: location)
  } catch let error as MingleError {
    return error
  } catch {
    Issue.record("\(error)", sourceLocation: location)
  }
  return nil
}

/// Pictures in memory whose first value is the sample's index; some of them broken.
struct NumberedPictures: ImageDataset {
  let name = "numbers"
  let classNames = ["even", "odd", "never"]
  let count: Int
  var side = 4
  var channels = 1
  var broken: Set<Int> = []
  let reads = ReadCount()

  func label(at index: Int) -> Int { index % 2 }
  func sampleName(at index: Int) -> String { "number \(index)" }

  func image(at index: Int) throws -> Image {
    reads.add()
    if broken.contains(index) {
      throw MingleError(.badData, "no picture", in: sampleName(at: index))
    }
    let pixels = (0..<(side * side * channels)).map { UInt8(truncatingIfNeeded: index + 7 * $0) }
    return Image(width: side, height: side, channels: channels, pixels: pixels)
  }
}

final class ReadCount: Sendable {
  private let count = Mutex(0)
  func add() { count.withLock { $0 += 1 } }
  var value: Int { count.withLock { $0 } }
}

/// Values 0 to 255 unchanged: mean 0, standard deviation 1/255.
func rawBytes(_ side: Int, channels: Int = 1) -> Preprocessing {
  Preprocessing(
    imageSize: ImageSize(side), cropFraction: 1,
    mean: Array(repeating: 0, count: channels),
    standardDeviation: Array(repeating: 1 / 255, count: channels))
}

/// One member of a tar file in ustar form.
func tarMember(
  _ path: String, _ content: [UInt8], type: Character = "0", size: String? = nil
) -> [UInt8] {
  var header = [UInt8](repeating: 0, count: 512)
  func put(_ text: String, _ offset: Int) {
    header.replaceSubrange(offset..<(offset + text.utf8.count), with: text.utf8)
  }
  put(path, 0)
  put("0000644", 100)
  put(size ?? octal(content.count, 11), 124)
  put(String(type), 156)
  put("ustar\u{0}00", 257)
  put("        ", 148)
  put(octal(header.reduce(0) { $0 + Int($1) }, 6) + "\u{0} ", 148)
  let padding = [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
  return header + content + padding
}

let tarEnd = [UInt8](repeating: 0, count: 1024)

private func octal(_ value: Int, _ digits: Int) -> String {
  let text = String(value, radix: 8)
  return String(repeating: "0", count: digits - text.count) + text
}

/// Four big-endian bytes.
func bigEndian(_ value: Int) -> [UInt8] {
  [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
}
