import Torch

/// Square gray pictures as rows of numbers with a label, in a CSV file, plain or in gzip.
///
/// The label's column is the one that the header names `label`, `class`, `category` or `target`;
/// without a header it is the last one, or the first when the last never changes and the first does
/// (MNIST as CSV: the last pixel is always black). The white value is the smallest of 1, 16 and 255
/// that no pixel exceeds; values are scaled by it to bytes. Classes are named by their labels.
public struct PixelTable: ImageDataset {
  public let name: String
  public let classNames: [String]
  private let labels: [Int]
  private let side: Int
  private let pixels: [UInt8]

  /// - Throws: `MingleError` (`badData`) for a row of another length, a field that is no number, a
  ///   label that is no whole number, values outside 0 to 255, or no square number of pixels.
  public init(_ path: String, classNames: [String]? = nil) throws {
    try self.init(FileContents(path), classNames: classNames)
  }

  init(_ contents: FileContents, classNames: [String]?) throws {
    let place = contents.path
    let table = try contents.withUnsafeBytes { try NumberTable($0, place: place) }
    let columns = table.columns
    let labelColumn = table.labelColumn
    let side = Int(Double(columns - 1).squareRoot().rounded())
    guard side * side == columns - 1 else {
      throw MingleError(
        .badData, "no square number of pixels", in: place,
        expected: "a label and 64, 784, ... values in each row", got: "\(columns) columns")
    }
    var names: [String] = []
    var values: [Float] = []
    values.reserveCapacity(table.rows * (columns - 1))
    for row in 0..<table.rows {
      let fields = table.values[(row * columns)..<((row + 1) * columns)]
      let label = fields[fields.startIndex + labelColumn]
      guard label == label.rounded(), abs(label) < 1e6 else {
        throw MingleError(
          .badData, "a label that is no whole number", in: "\(place), row \(row + 1)",
          got: "\(label)")
      }
      names.append(String(Int(label)))
      values += fields.prefix(labelColumn)
      values += fields.dropFirst(labelColumn + 1)
    }
    let largest = values.max() ?? 0
    guard let white = [1, 16, 255].first(where: { largest <= $0 }), (values.min() ?? 0) >= 0 else {
      throw MingleError(
        .badData, "pixel values out of range", in: place, expected: "0 to 1, 16 or 255",
        got: "\(values.min() ?? 0) to \(largest)",
        next: "name the label's column 'label' in a header if another column was taken for it")
    }
    let labels = try Labels(names, known: classNames, in: place)
    name = place
    self.classNames = labels.classNames
    self.labels = labels.indices
    self.side = side
    pixels = values.map { UInt8(($0 * 255 / white).rounded()) }
  }

  public var count: Int { labels.count }
  public var isDecoded: Bool { true }
  public func label(at index: Int) -> Int { labels[index] }
  public func sampleName(at index: Int) -> String { "\(name), row \(index + 1)" }

  public func image(at index: Int) throws -> Image {
    let start = index * side * side
    return Image(
      width: side, height: side, channels: 1, pixels: Array(pixels[start..<(start + side * side)]))
  }
}

/// A CSV file of numbers only, but for a header.
private struct NumberTable {
  var columns = 0
  var rows = 0
  var values: [Float] = []
  /// The label's column by the header's word for it, or by ``PixelTable``'s rule.
  var labelColumn = 0

  init(_ bytes: UnsafeRawBufferPointer, place: String) throws {
    var rows = CSVRows(bytes)
    var named: Int?
    var fields: [Slice<UnsafeRawBufferPointer>] = []
    while rows.next(into: &fields) {
      if fields.count == 1 && fields[0].isEmpty { continue }
      if columns == 0 {
        columns = fields.count
        named = fields.firstIndex { PictureList.labelColumns.contains($0.text.lowercased()) }
        if named != nil || fields.allSatisfy({ $0.number == nil }) { continue }
      }
      guard fields.count == columns else {
        throw MingleError(
          .badData, "a row of another length", in: "\(place), line \(rows.line)",
          expected: "\(columns) columns", got: "\(fields.count)")
      }
      for (column, field) in fields.enumerated() {
        guard let value = field.number else {
          throw MingleError(
            .badData, "not a number", in: "\(place), line \(rows.line), column \(column + 1)",
            got: "'\(field.text.prefix(40))'")
        }
        values.append(Float(value))
      }
      self.rows += 1
    }
    guard self.rows > 0 else { throw noSamples(in: place, expected: "rows of pixels and a label") }
    func changes(_ column: Int) -> Bool {
      (0..<self.rows).contains { values[$0 * columns + column] != values[column] }
    }
    let last = columns - 1
    labelColumn = named ?? (!changes(last) && changes(0) ? 0 : last)
  }
}

/// Opens a CSV file: a ``PixelTable`` when a row consists of at least five numbers only, else a
/// ``PictureList``.
func openCSV(_ path: String, classNames: [String]?) throws -> any ImageDataset {
  let contents = try FileContents(path)
  let isTable = contents.withUnsafeBytes { bytes in
    CSVRows(bytes).prefix(2).contains { row in
      row.count >= 5 && row.allSatisfy { $0.number != nil }
    }
  }
  if isTable { return try PixelTable(contents, classNames: classNames) }
  return try PictureList(contents, classNames: classNames)
}
