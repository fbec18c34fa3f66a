import Checkpoints
import Foundation
import Torch

/// The text that a tokenizer learns from, a line at a time.
struct TrainingText {
  private let corpus: TextCorpus
  private let files: [MappedFile]
  private(set) var report = CorpusReport()

  /// - Parameter paths: of text files, JSONL files or folders, as ``TextCorpus`` takes them.
  /// - Throws: ``MingleError`` for a path where there is nothing, and when all files are empty.
  init(_ paths: [String]) throws {
    corpus = try TextCorpus(paths)
    files = try corpus.files.map { try MappedFile($0.path) }
    report.files = files.count
    report.bytes = files.reduce(0) { $0 + $1.count }
    report.emptyFiles = zip(corpus.files, files).filter { $1.count == 0 }.map { $0.0.name }
    report.ignoredFiles = corpus.ignored
    guard report.bytes > 0 else {
      throw MingleError(
        .badData, "no text to learn from", in: listed(paths), next: "name files that hold text")
    }
  }

  /// Calls `body` with each line as valid UTF-8, without its end; an event every few megabytes.
  ///
  /// - Throws: ``MingleError`` for UTF-16, and for a row of a JSONL file without a text.
  mutating func forEachLine(
    _ notify: (TokenizerTrainingEvent) throws -> Void,
    _ body: (UnsafeBufferPointer<UInt8>) -> Void
  ) throws {
    var done = 0, told = 0
    for (file, map) in zip(corpus.files, files) {
      var reader = LineReader(file, textField: corpus.options.textField)
      try map.withUnsafeBytes { bytes in
        var start = try bytes.startOfText(in: file.path)
        while start < bytes.count {
          let end = bytes.newline(from: start) ?? bytes.count
          try reader.read(UnsafeRawBufferPointer(rebasing: bytes[start..<end]).withoutReturn, body)
          start = end + 1
          if done + start - told > 1 << 22 {
            told = done + start
            try notify(.read(bytes: min(told, report.bytes), of: report.bytes))
          }
        }
      }
      done += map.count
      if reader.invalidLines > 0 {
        report.invalidLines.append(.init(file: file.name, count: reader.invalidLines))
      }
      if reader.emptyRows > 0 {
        report.emptyRows.append(.init(file: file.name, count: reader.emptyRows))
      }
    }
    try notify(.read(bytes: report.bytes, of: report.bytes))
    try notify(.finishedReading(report))
  }
}

/// The lines of one file.
private struct LineReader {
  let file: TextCorpus.File
  let textField: String
  private var line = 0
  private(set) var invalidLines = 0
  private(set) var emptyRows = 0

  init(_ file: TextCorpus.File, textField: String) {
    self.file = file
    self.textField = textField
  }

  mutating func read(
    _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeBufferPointer<UInt8>) -> Void
  ) throws {
    line += 1
    if file.isRows { return try readRow(bytes, body) }
    if bytes.allSatisfy({ $0 < 0x80 }) { return body(bytes.bindMemory(to: UInt8.self)) }
    let (text, isValid) = String.repairing(bytes)
    if !isValid { invalidLines += 1 }
    var copy = text
    copy.withUTF8(body)
  }

  private mutating func readRow(
    _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeBufferPointer<UInt8>) -> Void
  ) throws {
    if bytes.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { return }
    var parser = JSONParser(bytes, in: "\(file.path), line \(line)")
    let row = try parser.parse()
    guard case .text(var text)? = row[textField] else {
      throw MingleError(
        .badData, "a row without text", in: "\(file.path), line \(line)",
        expected: "an object with a text in the field '\(textField)'",
        got: row[textField]?.kind ?? row.fieldNames)
    }
    if parser.repairedTexts > 0 { invalidLines += 1 }
    if text.isEmpty { emptyRows += 1 }
    text.withUTF8 { text in
      for line in text.split(separator: UInt8(ascii: "\n")) {
        body(UnsafeBufferPointer(rebasing: line))
      }
    }
  }
}
