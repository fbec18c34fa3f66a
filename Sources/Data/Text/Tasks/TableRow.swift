import Torch

/// A column of a table: by place, or, in JSON, by name.
enum TableColumn: Hashable, Sendable {
  /// From 0.
  case number(Int)
  case name(String)
}

/// A row of a table, valid while it is being read.
struct TableRow {
  enum Cells {
    case fields([Slice<UnsafeRawBufferPointer>], areQuoted: Bool)
    case object([String: JSONValue])
  }

  let cells: Cells
  /// The line of the file, from 1, on which the row begins.
  let line: Int
  /// Texts of an object that held invalid characters, which were replaced.
  var repairedTexts = 0

  /// The number of fields; nil for objects, whose fields may be missing.
  var fieldCount: Int? {
    guard case .fields(let fields, _) = cells else { return nil }
    return fields.count
  }

  /// The text of a field, and whether it was valid UTF-8; nil where there is none.
  func text(_ column: TableColumn) -> (text: String, isValid: Bool)? {
    switch (cells, column) {
    case (.fields(let fields, let areQuoted), .number(let number)):
      guard fields.indices.contains(number) else { return nil }
      let field = UnsafeRawBufferPointer(rebasing: fields[number])
      let (text, isValid) = String.repairing(field)
      return (areQuoted ? fields[number].text : text, isValid)
    case (.object(let members), .name(let name)):
      return members[name]?.scalarText.map { ($0, true) }
    default: return nil
    }
  }
}

/// A table in a file: `.tsv` without quotes, `.csv` with, or JSON: `.jsonl` with an object in each line,
/// `.json` with a list of objects.
struct TableFile: Sendable {
  enum Form: Sendable {
    case tabs, commas, rows, list

    init?(_ name: String) {
      let name = name.lowercased()
      let forms: [(String, Form)] = [
        (".tsv", .tabs), (".csv", .commas), (".jsonl", .rows), (".ndjson", .rows), (".json", .list),
      ]
      guard
        let form = forms.first(where: { name.hasSuffix($0.0) || name.hasSuffix($0.0 + ".gz") })
      else { return nil }
      self = form.1
    }
  }

  let contents: FileContents
  let form: Form
  var path: String { contents.path }

  /// - Throws: `MingleError` for a file that is missing, empty, or of an unknown form.
  init(_ path: String) throws {
    guard let form = Form(path) else {
      throw MingleError(
        .badData, "an unknown form of table", in: path,
        expected: "a .tsv, .csv, .jsonl or .json file", next: "rename it by its form")
    }
    contents = try FileContents(path)
    self.form = form
    guard contents.withUnsafeBytes({ !$0.isEmpty }) else {
      throw MingleError(.badData, "an empty file", in: path, expected: "rows of texts")
    }
  }

  /// Calls `body` for each row until it returns false. Empty lines are no rows.
  ///
  /// - Throws: `MingleError` that names the line for quotes that do not end or what is not JSON.
  func forEachRow(_ body: (TableRow) throws -> Bool) throws {
    try contents.withUnsafeBytes { bytes in
      if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
        throw MingleError(
          .badData, "text in UTF-16", in: path, expected: "UTF-8",
          next: "convert it: iconv -f UTF-16 -t UTF-8")
      }
      switch form {
      case .tabs, .commas: try forEachLine(of: bytes, body)
      case .rows: try forEachObject(in: bytes, body)
      case .list: try forEachElement(of: bytes, body)
      }
    }
  }

  private func forEachLine(
    of bytes: UnsafeRawBufferPointer, _ body: (TableRow) throws -> Bool
  ) throws {
    let areQuoted = form == .commas
    var rows = CSVRows(
      bytes, separator: areQuoted ? nil : UInt8(ascii: "\t"), hasQuotes: areQuoted)
    while let fields = rows.next() {
      if rows.isUnclosed {
        throw MingleError(
          .badData, "quotation marks that are not closed", in: "\(path), line \(rows.line)",
          next: "close them, or save the table as .tsv")
      }
      let row = TableRow(cells: .fields(fields, areQuoted: areQuoted), line: rows.line)
      guard try body(row) else { return }
    }
  }

  private func forEachObject(
    in bytes: UnsafeRawBufferPointer, _ body: (TableRow) throws -> Bool
  ) throws {
    var line = 0
    var start = 0
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
      let text = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
      line += 1
      start = end + 1
      if text.allSatisfy({ [0x20, 0x09, 0x0D].contains($0) }) { continue }
      let place = "\(path), line \(line)"
      var parser = JSONParser(text, in: place)
      guard case .object(let members) = try parser.parse() else {
        throw MingleError(.badData, "a row that is no JSON object", in: place)
      }
      let row = TableRow(
        cells: .object(members), line: line, repairedTexts: parser.repairedTexts)
      guard try body(row) else { return }
    }
  }

  private func forEachElement(
    of bytes: UnsafeRawBufferPointer, _ body: (TableRow) throws -> Bool
  ) throws {
    var parser = JSONParser(bytes, in: path)
    guard case .list(let elements) = try parser.parse() else {
      throw MingleError(
        .badData, "not a list of objects", in: path,
        next: "name the file .jsonl if it has an object in each line")
    }
    for (index, element) in elements.enumerated() {
      guard case .object(let members) = element else {
        throw MingleError(
          .badData, "a row that is no JSON object", in: "\(path), row \(index + 1)",
          got: element.kind)
      }
      let row = TableRow(
        cells: .object(members), line: index + 1,
        repairedTexts: index == 0 ? parser.repairedTexts : 0)
      guard try body(row) else { return }
    }
  }
}
