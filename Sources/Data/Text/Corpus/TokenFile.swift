import Checkpoints
import Foundation
import Torch

/// What decides about the contents of a token file.
struct TokenFileKey: Codable, Hashable, Sendable {
  struct Source: Codable, Hashable, Sendable {
    let isRows: Bool
    let bytes: Int
    /// ``OpenFile/contentHash()``.
    let hash: UInt64
  }

  /// Changes whenever the same key would give other bytes.
  var format = 1
  let tokenizer: String
  let vocabularySize: Int
  let options: CorpusOptions
  let sources: [Source]

  /// The key in one spelling.
  func text() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}

/// A file of tokens: the layout, which is little-endian throughout.
///
/// | Bytes | Contents |
/// |---|---|
/// | 16 | "mingle tokens 1\n" |
/// | 2 or 4 each | tokens: the id, and in the highest bit whether a word begins |
/// | 0 to 7 | zeros up to a multiple of 8 |
/// | 8 each | for each document the number of tokens up to its end |
/// | | the key and the report as JSON |
/// | 56 | footer: numbers of tokens, documents, key bytes and report bytes, bytes a token, hash of all before the footer, "mingle." and a zero |
enum TokenFile {
  static let magic = Array("mingle tokens 1\n".utf8)
  static let endMagic = Array("mingle.\0".utf8)
  static let footerSize = 56

  /// Bytes for a token of a vocabulary; the highest bit is the word's.
  static func tokenSize(vocabularySize: Int) -> Int { vocabularySize <= 1 << 15 ? 2 : 4 }
}

/// Writes a token file, hashing it on the way.
struct TokenFileWriter {
  private let output: FileWriter
  private let tokenSize: Int
  private var pending: [UInt8] = []
  private var hash = ContentHash()
  private var written = 0
  private(set) var tokenCount = 0
  private(set) var documentEnds: [UInt64] = []

  init(_ output: FileWriter, vocabularySize: Int) throws {
    self.output = output
    tokenSize = TokenFile.tokenSize(vocabularySize: vocabularySize)
    try write(TokenFile.magic)
  }

  /// Adds a piece that follows the last.
  mutating func add(_ piece: TokenizedPiece) throws {
    for end in piece.documentEnds {
      let end = UInt64(tokenCount + end)
      // What has no tokens is no document.
      if end > documentEnds.last ?? 0 { documentEnds.append(end) }
    }
    tokenCount += piece.tokens.count
    if tokenSize == 4 {
      try piece.tokens.map(\.littleEndian).withUnsafeBytes { try write($0) }
    } else {
      let short = piece.tokens.map { token in
        (UInt16(truncatingIfNeeded: token & 0x7FFF) | UInt16(token >> 31) << 15).littleEndian
      }
      try short.withUnsafeBytes { try write($0) }
    }
  }

  mutating func finish(key: String, report: CorpusReport) throws {
    try write([UInt8](repeating: 0, count: (8 - written % 8) % 8))
    try documentEnds.map(\.littleEndian).withUnsafeBytes { try write($0) }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let report = [UInt8](try encoder.encode(report))
    try write(Array(key.utf8))
    try write(report)
    try flush()
    var footer: [UInt8] = []
    for value in [tokenCount, documentEnds.count, key.utf8.count, report.count, tokenSize] {
      footer.append(littleEndian: UInt64(value))
    }
    footer.append(littleEndian: hash.value)
    try output.write(footer + TokenFile.endMagic)
  }

  private mutating func write(_ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { try write($0) }
  }

  /// Gathers blocks, which are what is hashed.
  private mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
    written += bytes.count
    var rest = bytes[...]
    while !rest.isEmpty {
      let part = rest.prefix(ContentHash.blockSize - pending.count)
      pending.append(contentsOf: part)
      rest = rest.dropFirst(part.count)
      if pending.count == ContentHash.blockSize { try flush() }
    }
  }

  private mutating func flush() throws {
    guard !pending.isEmpty else { return }
    try pending.withUnsafeBytes {
      hash.add(block: $0)
      try output.write($0)
    }
    pending.removeAll(keepingCapacity: true)
  }
}

extension [UInt8] {
  fileprivate mutating func append(littleEndian value: UInt64) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}

/// The parts of a token file that lies in memory.
struct TokenFileLayout: Sendable {
  let tokenCount: Int
  let documentCount: Int
  let tokenSize: Int
  let tokens: Range<Int>
  let documents: Range<Int>
  let key: Range<Int>
  let report: Range<Int>

  /// Nil for a file that is none, is damaged, or breaks a rule of the layout.
  init?(_ bytes: UnsafeRawBufferPointer) {
    let end = bytes.count - TokenFile.footerSize
    guard end >= TokenFile.magic.count, bytes.starts(with: TokenFile.magic),
      bytes[(bytes.count - TokenFile.endMagic.count)...].elementsEqual(TokenFile.endMagic)
    else { return nil }
    let values = (0..<6).map { index in
      UInt64(
        littleEndian: bytes.loadUnaligned(fromByteOffset: end + 8 * index, as: UInt64.self))
    }
    var hash = ContentHash()
    hash.add(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
    // A right hash means that the numbers are what was written.
    guard hash.value == values[5], values[..<5].allSatisfy({ $0 <= UInt64(bytes.count) }) else {
      return nil
    }
    let numbers = values[..<5].map { Int($0) }
    (tokenCount, documentCount, tokenSize) = (numbers[0], numbers[1], numbers[4])
    guard tokenSize == 2 || tokenSize == 4 else { return nil }
    tokens = TokenFile.magic.count..<(TokenFile.magic.count + tokenCount * tokenSize)
    let documentStart = (tokens.upperBound + 7) / 8 * 8
    documents = documentStart..<(documentStart + 8 * documentCount)
    key = documents.upperBound..<(documents.upperBound + numbers[2])
    report = key.upperBound..<(key.upperBound + numbers[3])
    guard report.upperBound == end else { return nil }
  }
}
