import Torch

/// Texts or pairs of texts with their labels, from a table in memory.
///
/// | File | Form |
/// |---|---|
/// | `.tsv` | GLUE's: tabs between fields, quotation marks are part of the text |
/// | `.csv` | RFC 4180: commas (or tabs), quoted fields may hold commas and line breaks |
/// | `.jsonl`, `.json` | an object in each line, or a list of them |
///
/// each also as `.gz`. A header is recognised by the names that data sets use; the official files of
/// GLUE's tasks are read as they are.
public struct TextExamples: Sendable {
  /// What reading the table showed.
  public struct Report: Hashable, Sendable {
    /// The columns that were read, as a user would name them.
    public internal(set) var columns = TextColumns()
    /// Rows left out, with the reason: "line 7: 3 columns instead of 6".
    public internal(set) var skippedRows: [String] = []
    /// Rows whose label is `-`: their judges did not agree (SNLI, MultiNLI).
    public internal(set) var undecidedRows = 0
    /// Texts with invalid UTF-8, which was replaced.
    public internal(set) var invalidTexts = 0
    public internal(set) var emptyTexts = 0

    /// What a user should know, a line for each kind.
    public var remarks: [String] {
      let skipped =
        skippedRows.isEmpty ? [] : ["\(skippedRows.count) rows left out (\(listed(skippedRows)))"]
      return skipped
        + [
          (undecidedRows, "rows without a decided label left out"),
          (invalidTexts, "texts with invalid UTF-8, replaced"), (emptyTexts, "empty texts"),
        ].filter { $0.0 > 0 }.map { "\($0) \($1)" }
    }
  }

  /// The share of rows that may have a wrong number of columns: they are left out and named. More
  /// are an error: then the columns are not what they seem.
  static let brokenShare = 0.01

  /// The file.
  public let name: String
  public private(set) var texts: [String] = []
  /// The second texts; nil where there are no pairs.
  public private(set) var pairs: [String]?
  public private(set) var labels: TextLabels = .none
  /// Nil where there are no labels and none were expected.
  public private(set) var target: TextTarget?
  public private(set) var report = Report()
  /// The line of each text in the file, from 1.
  public private(set) var lines: [Int] = []
  let chosen: ChosenColumns

  public var count: Int { texts.count }

  /// Reads a table.
  ///
  /// - Parameters:
  ///   - target: The classes, or kind of labels, of the training part or of a model; nil for what
  ///     the labels are.
  ///   - needsLabels: It is an error when there is no column of labels.
  /// - Throws: `MingleError` (`missingInput`) when there is no such file; (`badData`) for an empty
  ///   file, columns that are missing or not clear, a row without label, or a label that `target`
  ///   does not have: each names the line.
  public init(
    _ path: String, columns: TextColumns = TextColumns(), target: TextTarget? = nil,
    needsLabels: Bool = true
  ) throws {
    try self.init(path, columns: columns, target: target, needsLabels: needsLabels, like: nil)
  }

  init(
    _ path: String, columns: TextColumns, target: TextTarget?, needsLabels: Bool,
    like other: ChosenColumns?
  ) throws {
    let file = try TableFile(path)
    chosen = try Self.chosenColumns(of: file, columns, needsLabels: needsLabels, like: other)
    name = path
    if chosen.pair != nil { pairs = [] }
    report.columns = TextColumns(
      text: chosen.name(chosen.text), pair: chosen.pair.map(chosen.name),
      label: chosen.label.map(chosen.name))
    try read(file, as: target)
  }

  /// - Parameter other: The columns of another part, which say what those of a file without header
  ///   are.
  static func chosenColumns(
    of file: TableFile, _ columns: TextColumns, needsLabels: Bool, like other: ChosenColumns? = nil
  ) throws -> ChosenColumns {
    let isNamed = [columns.text, columns.pair, columns.label].contains { name in
      name.map { Int($0) == nil } ?? false
    }
    let sample = try TableSample(file, needsHeader: isNamed)
    if let other, other.names == nil, sample.names == nil, other.fieldCount == sample.columns.count
    {
      return other
    }
    return try sample.choose(columns, needsLabel: needsLabels)
  }

  /// The examples at some places.
  public func subset(_ indices: [Int]) -> TextExamples {
    var result = self
    result.texts = indices.map { texts[$0] }
    result.pairs = pairs.map { pairs in indices.map { pairs[$0] } }
    result.lines = indices.map { lines[$0] }
    switch labels {
    case .none: break
    case .classes(let classes): result.labels = .classes(indices.map { classes[$0] })
    case .values(let values): result.labels = .values(indices.map { values[$0] })
    }
    return result
  }
}

// MARK: Reading

extension TextExamples {
  private mutating func read(_ file: TableFile, as target: TextTarget?) throws {
    var labelTexts: [(text: String, line: Int)] = []
    var rowCount = 0
    var firstBroken: MingleError?
    var isHeader = chosen.names != nil && chosen.fieldCount != nil
    try file.forEachRow { row in
      if isHeader {
        isHeader = false
        return true
      }
      rowCount += 1
      if let problem = problem(of: row) {
        report.skippedRows.append("line \(row.line): \(problem.got ?? problem.what)")
        if firstBroken == nil { firstBroken = problem }
        return true
      }
      if let column = chosen.label {
        let label = row.text(column)?.text ?? ""
        if label == "-" && report.columns.label?.lowercased() == "gold_label" {
          report.undecidedRows += 1
          return true
        }
        labelTexts.append((try checked(label, row), row.line))
      }
      append(row)
      return true
    }
    if let firstBroken, Double(report.skippedRows.count) > Self.brokenShare * Double(rowCount) {
      throw firstBroken
    }
    guard !texts.isEmpty else { throw noSamples(in: name, expected: "rows of texts") }
    self.target = target
    if chosen.label != nil {
      (labels, self.target) = try TextLabels.read(labelTexts, as: target, in: name)
    }
  }

  private mutating func append(_ row: TableRow) {
    for (column, isPair) in [(chosen.text, false)] + (chosen.pair.map { [($0, true)] } ?? []) {
      let (text, isValid) = row.text(column) ?? ("", true)
      if !isValid { report.invalidTexts += 1 }
      if text.isEmpty { report.emptyTexts += 1 }
      if isPair { pairs?.append(text) } else { texts.append(text) }
    }
    report.invalidTexts += row.repairedTexts
    lines.append(row.line)
  }

  /// What keeps a row from being read.
  private func problem(of row: TableRow) -> MingleError? {
    let place = "\(name), line \(row.line)"
    if let expected = chosen.fieldCount, let count = row.fieldCount, count != expected {
      return MingleError(
        .badData, "a row with a wrong number of columns", in: place, expected: "\(expected)",
        got: "\(count) columns", next: "mend or remove the row")
    }
    let missing = [chosen.text, chosen.pair].compactMap(\.self).first { row.text($0) == nil }
    return missing.map { column in
      MingleError(
        .badData, "a row without text", in: place, expected: "a text in '\(chosen.name(column))'",
        got: "no '\(chosen.name(column))'", next: "mend or remove the row")
    }
  }

  private func checked(_ label: String, _ row: TableRow) throws -> String {
    guard label.isEmpty else { return label }
    throw MingleError(
      .badData, "a row without label", in: "\(name), line \(row.line)",
      expected: "a label in '\(report.columns.label ?? "")'", next: "mend or remove the row")
  }
}
