import Checkpoints
import Foundation
import Torch

/// The tokens of a corpus in a file that is mapped into memory, made once and then reused.
///
/// The file's name is a hash of everything that decides about its contents: the bytes of the text
/// files in their order, the options, the tokenizer's fingerprint and the format's version; names and
/// dates of the files do not count. It is written whole or not at all, so after a crash it is simply
/// made again, and two processes that make it at once do not disturb each other. Its hash is checked
/// when it is opened: a damaged or foreign file is made anew.
///
/// Texts are tokenised line by line on threads, a piece of about 1 MiB at a time; a few pieces are in
/// memory at once, however large the corpus and its lines are. The tokens do not depend on the number
/// of threads.
public final class TokenCorpus: Sendable {
  /// The file of tokens.
  public let path: String
  /// The paths of the text.
  public let name: String
  public let report: CorpusReport
  /// Whether the file was there before.
  public let wasReused: Bool
  let special: SpecialTokens
  let vocabularySize: Int
  private let file: MappedFile
  private let layout: TokenFileLayout

  /// Opens the tokens of `corpus`, tokenising it where no file in `folder` has them.
  ///
  /// - Parameters:
  ///   - folder: Where token files are kept; created where missing.
  ///   - workers: Threads that tokenise; nil for one a core.
  ///   - onProgress: Told the bytes tokenised, of how many; may throw to stop.
  /// - Throws: `MingleError` for a file that cannot be read, a row without text, text without a
  ///   token, or a folder that cannot be written.
  public init(
    _ corpus: TextCorpus, tokenizer: any Tokenizer, cache folder: String, workers: Int? = nil,
    onProgress: (_ done: Int, _ total: Int) throws -> Void = { _, _ in }
  ) throws {
    let workers = max(1, workers ?? ProcessInfo.processInfo.activeProcessorCount)
    let key = TokenFileKey(
      tokenizer: tokenizer.fingerprint, vocabularySize: tokenizer.vocabularySize,
      options: corpus.options, sources: try sources(of: corpus, workers: workers))
    let text = try key.text()
    let path = "\(folder)/\(ContentHash.digits(of: text)).tokens"
    special = tokenizer.special
    vocabularySize = tokenizer.vocabularySize
    self.path = path
    name = corpus.name
    if let (file, layout, report) = try validTokens(at: path, key: text) {
      (self.file, self.layout, self.report) = (file, layout, report)
      wasReused = true
      return
    }
    try prepare(folder)
    try write(
      corpus, key: key, tokenizer: tokenizer, to: path, workers: workers, onProgress: onProgress)
    guard let (file, layout, report) = try validTokens(at: path, key: text) else {
      throw MingleError(
        .failed, "the tokens just written cannot be read", in: path,
        next: "check the disk, or choose another folder")
    }
    (self.file, self.layout, self.report) = (file, layout, report)
    wasReused = false
  }

  /// Names the tokens: the same for the same text, options and tokenizer.
  package var contentHash: String {
    URL(filePath: path).deletingPathExtension().lastPathComponent
  }

  public var tokenCount: Int { layout.tokenCount }
  public var documentCount: Int { layout.documentCount }

  /// The number of tokens up to the end of a document.
  func end(ofDocument index: Int) -> Int {
    precondition(index < documentCount, "document \(index) of \(documentCount)")
    return file.withUnsafeBytes { bytes in
      Int(
        UInt64(
          littleEndian: bytes.load(
            fromByteOffset: layout.documents.lowerBound + 8 * index, as: UInt64.self)))
    }
  }

  /// Appends tokens, and whether each begins a word.
  func append(
    _ range: Range<Int>, to ids: inout [Int32], _ startsWord: inout [Bool]
  ) {
    precondition(range.upperBound <= tokenCount, "tokens \(range) of \(tokenCount)")
    file.withUnsafeBytes { bytes in
      let start = layout.tokens.lowerBound
      if layout.tokenSize == 2 {
        for index in range {
          let token = UInt16(
            littleEndian: bytes.load(fromByteOffset: start + 2 * index, as: UInt16.self))
          ids.append(Int32(token & 0x7FFF))
          startsWord.append(token >> 15 == 1)
        }
      } else {
        for index in range {
          let token = UInt32(
            littleEndian: bytes.load(fromByteOffset: start + 4 * index, as: UInt32.self))
          ids.append(Int32(token & ~TokenizedPiece.wordFlag))
          startsWord.append(token & TokenizedPiece.wordFlag != 0)
        }
      }
    }
  }
}

/// Hashes the files, on threads.
private func sources(
  of corpus: TextCorpus, workers: Int
) throws -> [TokenFileKey.Source] {
  let stream = PreparedStream(0..<corpus.files.count, workers: workers, ahead: 2 * workers) {
    index in
    let file = try OpenFile(corpus.files[index].path)
    return TokenFileKey.Source(
      isRows: corpus.files[index].isRows, bytes: file.count, hash: try file.contentHash())
  }
  var sources: [TokenFileKey.Source] = []
  while let source = try stream.next() { sources.append(source) }
  return sources
}

/// The tokens at `path` if they are whole and those of the key; nil if they are to be made.
private func validTokens(
  at path: String, key: String
) throws -> (MappedFile, TokenFileLayout, CorpusReport)? {
  guard FileManager.default.fileExists(atPath: path) else { return nil }
  let file = try MappedFile(path)
  return file.withUnsafeBytes { bytes in
    guard let layout = TokenFileLayout(bytes), bytes[layout.key].elementsEqual(key.utf8),
      let report = try? JSONDecoder().decode(
        CorpusReport.self, from: Foundation.Data(bytes[layout.report]))
    else { return nil }
    return (file, layout, report)
  }
}

/// Creates the folder of token files, and removes what crashes left in it a day ago or earlier.
private func prepare(_ folder: String) throws {
  let manager = FileManager.default
  do {
    try manager.createDirectory(atPath: folder, withIntermediateDirectories: true)
  } catch {
    throw MingleError(
      .failed, "the folder for tokens cannot be created", in: folder,
      next: "check its permissions, or choose another folder")
  }
  for name in (try? manager.contentsOfDirectory(atPath: folder)) ?? []
  where name.hasPrefix(".") && name.hasSuffix(".tmp") && name.contains(".tokens.") {
    let path = "\(folder)/\(name)"
    let date = (try? manager.attributesOfItem(atPath: path))?[.modificationDate] as? Date
    if let date, date.timeIntervalSinceNow < -86_400 { try? manager.removeItem(atPath: path) }
  }
}

/// Tokenises the corpus into a file.
private func write(
  _ corpus: TextCorpus, key: TokenFileKey, tokenizer: any Tokenizer, to path: String,
  workers: Int, onProgress: (Int, Int) throws -> Void
) throws {
  let pieces = try CorpusPieces(corpus.files).pieces
  let total = key.sources.reduce(0) { $0 + $1.bytes }
  var report = CorpusReport()
  report.files = corpus.files.count
  report.bytes = total
  report.ignoredFiles = corpus.ignored
  report.emptyFiles = zip(corpus.files, key.sources).filter { $1.bytes == 0 }.map(\.0.name)
  var counts = FileCounts(fileCount: corpus.files.count)
  try writeAtomically(to: path) { output in
    var writer = try TokenFileWriter(output, vocabularySize: tokenizer.vocabularySize)
    let stream = PreparedStream(0..<pieces.count, workers: workers, ahead: 2 * workers) { index in
      try TokenizedPiece(pieces[index], of: corpus, tokenizer: tokenizer)
    }
    var done = 0
    while let piece = try stream.next() {
      try writer.add(piece)
      counts.add(piece)
      done += piece.piece.range.count
      try onProgress(done, total)
    }
    guard writer.tokenCount > 0 else {
      throw MingleError(
        .badData, "no text", in: corpus.name, expected: "at least one word",
        got: "\(report.files) files of \(total) bytes")
    }
    try checkUnchanged(corpus, key, workers: workers)
    report.tokens = writer.tokenCount
    report.documents = writer.documentEnds.count
    counts.write(to: &report, corpus.files)
    try writer.finish(key: try key.text(), report: report)
  }
}

/// - Throws: `MingleError` (`badData`) when a file is no longer what the key says.
private func checkUnchanged(
  _ corpus: TextCorpus, _ key: TokenFileKey, workers: Int
) throws {
  let now = try sources(of: corpus, workers: workers)
  for (file, (before, after)) in zip(corpus.files, zip(key.sources, now)) where before != after {
    throw MingleError(
      .badData, "the file changed while it was read", in: file.path,
      next: "start again when nothing writes to it")
  }
}

/// What happened in each file.
private struct FileCounts {
  private var invalid: [Int]
  private var cut: [Int]
  private var empty: [Int]
  /// Whether the last piece ended within a line: a line that is cut twice is one.
  private var isWithinLine = false

  init(fileCount: Int) {
    invalid = Array(repeating: 0, count: fileCount)
    cut = invalid
    empty = invalid
  }

  mutating func add(_ piece: TokenizedPiece) {
    invalid[piece.piece.file] += piece.invalidLines
    empty[piece.piece.file] += piece.emptyRows
    if !piece.piece.endsLine && !isWithinLine { cut[piece.piece.file] += 1 }
    isWithinLine = !piece.piece.endsLine
  }

  func write(to report: inout CorpusReport, _ files: [TextCorpus.File]) {
    func listed(_ counts: [Int]) -> [CorpusReport.Count] {
      zip(files, counts).filter { $1 > 0 }.map { CorpusReport.Count(file: $0.name, count: $1) }
    }
    report.invalidLines = listed(invalid)
    report.cutLines = listed(cut)
    report.emptyRows = listed(empty)
  }
}
