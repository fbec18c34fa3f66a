import Torch

/// Which columns of a table hold what: names, or numbers from 1. What is nil is found by the names
/// that data sets use, or by looking at the first rows.
public struct TextColumns: Codable, Hashable, Sendable {
  public var text: String?
  /// The second text of a pair.
  public var pair: String?
  public var label: String?

  public init(text: String? = nil, pair: String? = nil, label: String? = nil) {
    self.text = text
    self.pair = pair
    self.label = label
  }
}

/// The columns of a table that are read.
struct ChosenColumns: Hashable, Sendable {
  var text: TableColumn
  var pair: TableColumn?
  var label: TableColumn?
  /// The header's names in their order; nil without a header. JSON always has names.
  var names: [String]?
  /// The fields of a row; nil for JSON.
  var fieldCount: Int?

  /// A column as a user would name it.
  func name(_ column: TableColumn) -> String {
    switch column {
    case .name(let name): name
    case .number(let number): names?[number] ?? "\(number + 1)"
    }
  }
}

/// The first rows of a table, by which its columns are found.
struct TableSample {
  static let rowLimit = 400

  /// The columns in order.
  let columns: [TableColumn]
  let path: String
  /// The header's names, also of JSON; nil without a header.
  private(set) var names: [String]?
  private(set) var rows: [[String]] = []

  /// - Parameter needsHeader: the first row is a header: columns were named.
  init(_ file: TableFile, needsHeader: Bool) throws {
    path = file.path
    var keys: Set<String> = []
    var objects: [TableRow.Cells] = []
    var lines: [[String]] = []
    try file.forEachRow { row in
      switch row.cells {
      case .object(let members):
        keys.formUnion(members.filter { $1.scalarText != nil || $1 == .null }.keys)
        objects.append(row.cells)
      case .fields(let fields, _):
        lines.append(fields.indices.map { row.text(.number($0))?.text ?? "" })
      }
      return objects.count + lines.count < Self.rowLimit
    }
    guard !objects.isEmpty || !lines.isEmpty else {
      throw MingleError(.badData, "no rows", in: path, expected: "rows of texts")
    }
    if !objects.isEmpty {
      let names = keys.inByteOrder()
      self.names = names
      columns = names.map { .name($0) }
      rows = objects.map { cells in
        columns.map { TableRow(cells: cells, line: 0).text($0)?.text ?? "" }
      }
      return
    }
    columns = lines[0].indices.map { .number($0) }
    rows = lines
    let rest = lines.dropFirst()
    if needsHeader || isHeader(lines[0], above: rest) || looksLikeHeader(lines[0], above: rest) {
      names = lines[0]
      rows.removeFirst()
    }
  }

  /// Whether the first row names columns: by names that data sets use, which do not stand in the
  /// same column again.
  private func isHeader(_ first: [String], above rows: ArraySlice<[String]>) -> Bool {
    let words = first.map(ColumnWord.init)
    let known = words.indices.filter { words[$0].isKnown }
    let hasParts =
      words.contains { $0.hasLabelPart } && words.contains { $0.hasTextPart && !$0.hasLabelPart }
    guard !known.isEmpty || hasParts else { return false }
    return known.allSatisfy { column in
      !rows.contains { $0.count > column && $0[column] == first[column] }
    }
  }

  /// Whether the first row can be nothing but names: short words above long texts, and one of them
  /// above a column of a few values that repeat, none of which it is.
  private func looksLikeHeader(_ first: [String], above rows: ArraySlice<[String]>) -> Bool {
    let areNames = first.allSatisfy { name in
      Double(name) == nil && name.utf8.count <= 30 && name.split(separator: " ").count <= 2
    }
    guard rows.count >= 20, areNames, !first.allSatisfy(\.isEmpty) else { return false }
    let columns = first.indices.map { column in
      rows.compactMap { $0.count > column ? $0[column] : nil }
    }
    let isAboveText = first.indices.contains { column in
      let length = columns[column].reduce(0) { $0 + $1.utf8.count }
      return length > 5 * columns[column].count * max(4, first[column].utf8.count)
    }
    let isAboveLabels = first.indices.contains { column in
      let values = Set(columns[column])
      return values.count > 1 && 4 * values.count <= rows.count && !values.contains(first[column])
    }
    return isAboveText && isAboveLabels
  }
}

// MARK: Choosing

extension TableSample {
  /// The columns that `wanted` names, or else those that are found.
  ///
  /// - Parameter needsLabel: It is an error when no label column is found.
  func choose(_ wanted: TextColumns, needsLabel: Bool) throws -> ChosenColumns {
    let label = try wanted.label.map(column) ?? foundLabel(besides: wanted)
    var texts: [TableColumn]
    if let text = wanted.text {
      texts = [try column(text)] + (try wanted.pair.map { [try column($0)] } ?? [])
    } else {
      texts = try foundTexts(besides: label)
      if let pair = wanted.pair { texts = [texts[0], try column(pair)] }
    }
    if needsLabel && label == nil {
      throw MingleError(
        .badData, "no column of labels found", in: path, expected: "a column named 'label'",
        got: description, next: "name the column of labels")
    }
    return ChosenColumns(
      text: texts[0], pair: texts.count > 1 ? texts[1] : nil, label: label, names: names,
      fieldCount: columns.first.map { if case .number = $0 { true } else { false } } ?? false
        ? columns.count : nil)
  }

  /// The column that a user names, by its name or number.
  private func column(_ name: String) throws -> TableColumn {
    if let index = names?.firstIndex(of: name)
      ?? names?.firstIndex(where: { $0.lowercased() == name.lowercased() })
    {
      return columns[index]
    }
    if let number = Int(name), columns.indices.contains(number - 1), case .number = columns[0] {
      return columns[number - 1]
    }
    throw MingleError(
      .badData, "no column '\(name)'", in: path, expected: "one of \(description)",
      next: "check the name's spelling, or give the column's number")
  }

  /// The columns in one line.
  private var description: String {
    names.map { listed($0.map { "'\($0.prefix(40))'" }, limit: 20) }
      ?? "\(columns.count) columns without names"
  }

  private func foundLabel(besides wanted: TextColumns) throws -> TableColumn? {
    let taken = try [wanted.text, wanted.pair].compactMap { try $0.map(column) }
    let free = columns.indices.filter { !taken.contains(columns[$0]) }
    if let names {
      let words = names.map(ColumnWord.init)
      for known in ColumnWord.labels {
        if let index = free.first(where: { words[$0].word == known }) { return columns[index] }
      }
      if let index = free.last(where: { words[$0].hasLabelPart }) { return columns[index] }
      // Beside names that are known, one that is not says that there are no labels.
      if words.contains(where: \.isKnown) { return nil }
      return repeating(free, atMost: rows.count / 4)
    }
    if isCoLA { return columns[1] }
    guard rows.count > 1 else { return columns.count > 1 ? columns.last : nil }
    return columns.count > 1 ? repeating(free, atMost: max(2, rows.count / 2)) : nil
  }

  /// The column of the fewest values, the last of equals: labels repeat.
  private func repeating(_ free: [Int], atMost limit: Int) -> TableColumn? {
    let counts = free.map { column in (Set(values(column)).count, -column) }
    guard let best = counts.min(by: <), best.0 <= limit else { return nil }
    return columns[-best.1]
  }

  /// One or two columns of text.
  private func foundTexts(besides label: TableColumn?) throws -> [TableColumn] {
    if let names {
      let words = names.map(ColumnWord.init)
      func index(_ known: String) -> Int? {
        words.indices.first { words[$0].word == known && columns[$0] != label }
      }
      for (first, second) in ColumnWord.pairs {
        if let a = index(first), let b = index(second) { return [columns[a], columns[b]] }
      }
      for known in ColumnWord.texts {
        if let index = index(known) { return [columns[index]] }
      }
      let parts = words.indices.filter { words[$0].hasTextPart && columns[$0] != label }
      if parts.count == 1 { return [columns[parts[0]]] }
    } else if isCoLA {
      return [columns[3]]
    }
    // Numbers are no texts.
    let candidates = columns.indices.filter { column in
      columns[column] != label && !values(column).allSatisfy { Double($0) != nil || $0.isEmpty }
    }
    guard (1...2).contains(candidates.count) else {
      throw MingleError(
        .badData, "the columns of text are not clear", in: path,
        expected: "a column named 'text' or 'sentence'", got: description,
        next: "name the columns of text and label")
    }
    return candidates.map { columns[$0] }
  }

  /// CoLA's files: source, label, an asterisk for some, sentence.
  private var isCoLA: Bool {
    names == nil && columns.count == 4
      && rows.allSatisfy {
        $0.count == 4 && ["0", "1"].contains($0[1]) && ["", "*"].contains($0[2])
      }
  }

  private func values(_ column: Int) -> [String] {
    rows.compactMap { $0.count > column ? $0[column] : nil }
  }
}
