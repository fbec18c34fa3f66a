import Torch

/// A part of a file that is tokenised at once: whole lines, but for gigantic ones.
struct CorpusPiece: Hashable, Sendable {
  let file: Int
  let range: Range<Int>
  /// False where a line goes on in the next piece.
  let endsLine: Bool
  let endsFile: Bool
}

/// The pieces of a corpus, each about `size` bytes. They depend on the files alone.
struct CorpusPieces {
  static let size = 1 << 20
  /// The longest row of a JSONL file, which cannot be cut.
  static let rowLimit = 256 << 20

  let pieces: [CorpusPiece]

  /// - Throws: `MingleError` when a file cannot be read, or a row is longer than `rowLimit`.
  init(_ files: [TextCorpus.File]) throws {
    var pieces: [CorpusPiece] = []
    for (index, file) in files.enumerated() {
      let contents = try OpenFile(file.path)
      var start = 0
      while start < contents.count {
        let (end, endsLine) =
          try file.isRows
          ? rowEnd(in: contents, after: start)
          : lineEnd(in: contents, after: start)
        pieces.append(
          CorpusPiece(
            file: index, range: start..<end, endsLine: endsLine, endsFile: end == contents.count))
        start = end
      }
    }
    self.pieces = pieces
  }
}

/// Where a piece of text that begins at `start` ends, and whether a line does there.
private func lineEnd(in file: OpenFile, after start: Int) throws -> (end: Int, endsLine: Bool) {
  let target = start + CorpusPieces.size
  guard target < file.count else { return (file.count, true) }
  // Seldom is a line longer than a few pages.
  for reach in [1 << 14, CorpusPieces.size] {
    let end = min(target + reach, file.count)
    let bytes = try file.read(target..<end)
    if let newline = bytes.firstIndex(of: UInt8(ascii: "\n")) {
      return (target + newline + 1, true)
    }
    if end == file.count { return (end, true) }
    if reach == CorpusPieces.size {
      if let space = bytes.firstIndex(of: UInt8(ascii: " ")) { return (target + space + 1, false) }
      // A byte that does not go on with a character begins one.
      let character = bytes.prefix(4).firstIndex { $0 & 0xC0 != 0x80 } ?? 0
      return (target + character, false)
    }
  }
  return (target, false)
}

private func rowEnd(in file: OpenFile, after start: Int) throws -> (end: Int, endsLine: Bool) {
  var position = start + CorpusPieces.size
  while position < file.count {
    guard position - start <= CorpusPieces.rowLimit else {
      throw MingleError(
        .badData, "a row that is too long", in: "\(file.path), line \(try file.line(at: position))",
        expected: "at most \(CorpusPieces.rowLimit >> 20) MiB", next: "split it into documents")
    }
    let end = min(position + 1 << 16, file.count)
    if let newline = try file.read(position..<end).firstIndex(of: UInt8(ascii: "\n")) {
      return (position + newline + 1, true)
    }
    position = end
  }
  return (file.count, true)
}
