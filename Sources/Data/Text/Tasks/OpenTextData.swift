import Foundation
import Torch

/// A part of a text data set. MultiNLI has two for validation: `dev_matched` and `dev_mismatched`.
public struct TextPart: Sendable {
  /// The file's name without its ending.
  public let name: String
  public let examples: TextExamples

  public init(name: String, examples: TextExamples) {
    self.name = name
    self.examples = examples
  }
}

/// Opens one part of the texts at `path`: all files of it.
///
/// `path` is a table (see ``TextExamples``), the same for every `split`, or a folder of tables that are
/// found by their names: `train.tsv`, `dev.csv`, `test.jsonl`, `dev_matched.tsv`; also one table in each
/// of the folders `train`, `dev` and `test`. Where a file is called exactly like a part, others that
/// only have the word in their names are no part of it. `validation` and `test` stand in for each other.
///
/// - Parameters:
///   - target: The classes, or kind of labels, that a model knows. Nil takes the training part's.
///   - needsLabels: false for texts to be judged.
///   - holdOut: The share that was held out, and the seed, when a model was trained on these data:
///     where they have no parts for validation or test, these texts are opened in their place.
/// - Throws: `MingleError` (`missingInput`) when there is nothing at `path` or no such part;
///   (`badData`) as ``TextExamples/init(_:columns:target:needsLabels:)`` does.
public func openTextData(
  at path: String, split: DatasetSplit, columns: TextColumns = TextColumns(),
  target: TextTarget? = nil, needsLabels: Bool = true,
  holdOut: (share: Double, seed: UInt64)? = nil
) throws -> [TextPart] {
  let files = try TextFiles(path)
  if let holdOut, files.parts.map({ Array($0.keys) == [.train] }) ?? true {
    let (train, held) = try openTextTrainingData(
      at: path, columns: columns, target: target, holdingOut: holdOut.share, seed: holdOut.seed)
    return split == .train ? [TextPart(name: "training", examples: train)] : held
  }
  guard let parts = files.parts else {
    let examples = try TextExamples(
      path, columns: columns, target: target, needsLabels: needsLabels)
    return [TextPart(name: stem(path), examples: examples)]
  }
  guard let part = split.alternatives.first(where: { parts[$0] != nil }) else {
    throw MingleError(
      .missingInput, "no data for '\(split.rawValue)'", in: path,
      expected: "files named train and dev (or test)",
      got: parts.keys.map(\.rawValue).sorted().joined(separator: ", "))
  }
  var target = target
  var like: ChosenColumns?
  if part != .train, let train = parts[.train]?.first {
    if target == nil {
      let examples = try TextExamples(train, columns: columns)
      (target, like) = (examples.target, examples.chosen)
    } else {
      like = try TextExamples.chosenColumns(of: TableFile(train), columns, needsLabels: true)
    }
  }
  return try (parts[part] ?? []).map { file in
    let examples = try TextExamples(
      file, columns: columns, target: target, needsLabels: needsLabels, like: like)
    return TextPart(name: stem(file), examples: examples)
  }
}

/// Opens the texts at `path` for training and validation: their own parts (see
/// ``openTextData(at:split:columns:target:needsLabels:)``), or else a split that holds out `fraction`
/// of each class by `seed`. A test part without labels is no validation part.
///
/// - Throws: `MingleError` as ``openTextData(at:split:columns:target:needsLabels:)`` does.
public func openTextTrainingData(
  at path: String, columns: TextColumns = TextColumns(), target: TextTarget? = nil,
  holdingOut fraction: Double = 0.1, seed: UInt64 = 0
) throws -> (train: TextExamples, validation: [TextPart]) {
  let files = try TextFiles(path)
  guard let place = files.parts == nil ? path : files.parts?[.train]?.first else {
    throw MingleError(
      .missingInput, "no training data", in: path, expected: "a file named train",
      got: files.parts?.keys.map(\.rawValue).sorted().joined(separator: ", "))
  }
  let train = try TextExamples(place, columns: columns, target: target)
  for part in DatasetSplit.validation.alternatives {
    let files = files.parts?[part] ?? []
    let parts = try files.map { (file: String) throws -> TextPart in
      let examples = try TextExamples(
        file, columns: columns, target: train.target, needsLabels: part == .validation,
        like: train.chosen)
      return TextPart(name: stem(file), examples: examples)
    }
    let validation = parts.filter { $0.examples.labels != TextLabels.none }
    if !validation.isEmpty { return (train, validation) }
  }
  let (kept, held) = try train.split(holdingOut: fraction, seed: seed)
  return (kept, [TextPart(name: "held out", examples: held)])
}

extension TextExamples {
  /// Two parts; the second holds `fraction` of each class, or of all texts where labels are values.
  ///
  /// - Throws: `MingleError` (`usage`) unless `fraction` is between 0 and 1; (`badData`) when the
  ///   second part would be empty.
  public func split(
    holdingOut fraction: Double, seed: UInt64
  ) throws -> (train: TextExamples, validation: TextExamples) {
    var classes = [Int](repeating: 0, count: count)
    if case .classes(let labels) = labels { classes = labels }
    let (train, held) = try stratified(
      classes, classCount: (classes.max() ?? 0) + 1, holdingOut: fraction, seed: seed, in: name)
    return (subset(train), subset(held))
  }
}

/// The tables of a data set by their parts.
private struct TextFiles {
  /// Nil for a single table.
  var parts: [DatasetSplit: [String]]?

  init(_ path: String) throws {
    guard try isFolder(at: path) else { return }
    let listing = try FolderListing(path)
    let tables = listing.files.filter { TableFile.Form($0) != nil }.inByteOrder()
    var parts = try Self.byName(tables, in: path)
    if parts.isEmpty {
      for folder in listing.folders {
        guard let split = DatasetSplit(folder: folder) else { continue }
        let inner = "\(path)/\(folder)"
        let tables = try FolderListing(inner).files.filter { TableFile.Form($0) != nil }
        guard tables.count == 1 else {
          throw MingleError(
            .badData, "not one table", in: inner, expected: "one .tsv, .csv or .jsonl file",
            got: "\(tables.count)", next: "name a file instead of the folder")
        }
        parts[split, default: []].append("\(inner)/\(tables[0])")
      }
    }
    guard !parts.isEmpty else {
      throw MingleError(
        .badData, "no texts found", in: path,
        expected: "files named train, dev or test that end in .tsv, .csv or .jsonl",
        got: tables.isEmpty ? nil : listed(tables),
        next: tables.isEmpty ? nil : "name the file itself")
    }
    self.parts = parts
  }

  /// The tables that have a part's name, or its word in theirs.
  private static func byName(
    _ tables: [String], in path: String
  ) throws -> [DatasetSplit: [String]] {
    var exact: [DatasetSplit: [String]] = [:]
    var others: [DatasetSplit: [String]] = [:]
    for table in tables {
      let words = stem(table).split { "-._ ".contains($0) }
      guard let split = words.lazy.compactMap({ DatasetSplit(folder: $0) }).first else { continue }
      if words.count == 1 {
        exact[split, default: []].append("\(path)/\(table)")
      } else {
        others[split, default: []].append("\(path)/\(table)")
      }
    }
    let parts = exact.merging(others) { exact, _ in exact }
    for (split, files) in parts where files.count > 1 && (split == .train || exact[split] != nil) {
      throw MingleError(
        .badData, "two files for '\(split.rawValue)'", in: files[1], got: files[0],
        next: "keep one of them")
    }
    return parts
  }
}

/// A file's name without the endings of its form.
private func stem(_ path: String) -> String {
  let name = path.split(separator: "/").last.map(String.init) ?? path
  for ending in [".gz", ".tsv", ".csv", ".jsonl", ".ndjson", ".json"] where name.hasSuffix(ending) {
    return stem(String(name.dropLast(ending.count)))
  }
  return name
}
