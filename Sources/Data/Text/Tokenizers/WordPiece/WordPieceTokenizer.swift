import Checkpoints
import Torch

/// BERT's tokenizer: words are spelled by the longest pieces of a vocabulary, from the left.
///
/// J. Devlin, M.-W. Chang, K. Lee, K. Toutanova: BERT: Pre-training of Deep Bidirectional
/// Transformers for Language Understanding, arXiv 1810.04805; M. Schuster, K. Nakajima: Japanese and
/// Korean voice search, ICASSP 2012. Gives the same ids as `BertWordPieceTokenizer` of the PyPI
/// package `tokenizers` 0.23: a word that cannot be spelled, or longer than 100 characters, is one
/// unknown token; `[UNK]`, `[CLS]`, `[SEP]`, `[MASK]` and `[PAD]` in the text are these tokens.
public struct WordPieceTokenizer: Tokenizer {
  public let special: SpecialTokens
  public let fingerprint: String
  /// Whether text is lower-cased and loses its accents ("uncased").
  public let lowercases: Bool

  private let pieces: [String]
  private let trie: Trie
  /// The trie's node behind `##`, with which pieces inside a word begin; nil without any.
  private let continuation: Int?
  /// The special tokens as they stand in a text.
  private let specialTexts: [(text: [UInt8], id: Int32)]

  public var vocabularySize: Int { pieces.count }

  /// - Parameters:
  ///   - pieces: the piece of each id. Of equal ones the last counts, as in the PyPI package.
  ///   - lowercases: whether text is lower-cased and loses its accents.
  ///   - place: the file's name, for messages.
  /// - Throws: ``MingleError`` (`badData`) when there is no `[UNK]`, or too much.
  public init(pieces: [String], lowercases: Bool, place: String? = nil) throws {
    guard pieces.count <= Self.largestVocabulary else {
      throw MingleError(
        .badData, "too many pieces", in: place, expected: "at most \(Self.largestVocabulary)",
        got: "\(pieces.count)", next: "name a vocabulary of one piece a line")
    }
    self.pieces = pieces
    self.lowercases = lowercases
    trie = Trie(ByteStrings(pieces.map(\.utf8)), values: (0..<Int32(pieces.count)).map { $0 })
    let trie = trie
    let id = { (piece: String) in trie.value(of: piece.utf8) }
    guard let unknown = id("[UNK]") else {
      throw MingleError(
        .badData, "no [UNK] among the \(pieces.count) lines", in: place,
        expected: "BERT's vocab.txt, one piece a line",
        next: "name a vocab.txt or a SentencePiece .model, or make one: mingle tokenizer train")
    }
    special = SpecialTokens(
      unknown: unknown, classification: id("[CLS]"), separator: id("[SEP]"), mask: id("[MASK]"),
      padding: id("[PAD]"))
    specialTexts = ["[UNK]", "[CLS]", "[SEP]", "[MASK]", "[PAD]"].compactMap { text in
      id(text).map { (Array(text.utf8), $0) }
    }
    continuation = trie.nodes.withUnsafeBufferPointer { nodes in
      var node: Int? = 0
      for byte in "##".utf8 { node = node.flatMap { Trie.child(of: $0, by: byte, in: nodes) } }
      return node
    }
    var hash = SHA256()
    hash.update("wordpiece 1 lowercases \(lowercases)\n")
    hash.update(pieces.joined(separator: "\n"))
    fingerprint = hash.hexadecimal
  }

  /// Far more than any vocabulary has; a text of that many lines is none.
  static let largestVocabulary = 10_000_000

  public func text(of id: Int32) -> String {
    pieces.indices.contains(Int(id)) ? pieces[Int(id)] : ""
  }

  public func id(of piece: String) -> Int32? { trie.value(of: piece.utf8) }
}

// MARK: Encoding

extension WordPieceTokenizer {
  public func tokens(in text: String) -> [Token] {
    var tokens: [Token] = []
    forEachToken(in: text) { id, range, startsWord in
      tokens.append(Token(id: id, range: range, startsWord: startsWord))
    }
    return tokens
  }

  public func encode(_ text: String) -> [Int32] {
    var ids: [Int32] = []
    forEachToken(in: text) { id, _, _ in ids.append(id) }
    return ids
  }

  private func forEachToken(in text: String, _ body: (Int32, Range<Int>, Bool) -> Void) {
    var text = text
    text.withUTF8 { bytes in
      trie.nodes.withUnsafeBufferPointer { nodes in
        var words = BertWords(lowercases: lowercases)
        defer { words.deallocate() }
        let speller = Speller(
          nodes: nodes, continuation: continuation, unknown: special.unknown)
        var offset = 0
        while offset < bytes.count {
          let found = nextSpecial(in: bytes, from: offset)
          words.forEach(in: bytes, offset..<(found?.range.lowerBound ?? bytes.count)) {
            speller.spell($0, body)
          }
          if let found { body(found.id, found.range, true) }
          offset = found?.range.upperBound ?? bytes.count
        }
      }
    }
  }

  /// The first special token in the text from `start` on.
  private func nextSpecial(
    in text: UnsafeBufferPointer<UInt8>, from start: Int
  ) -> (id: Int32, range: Range<Int>)? {
    var offset = start
    while let bracket = text[offset...].firstIndex(of: UInt8(ascii: "[")) {
      for special in specialTexts where text[bracket...].starts(with: special.text) {
        return (special.id, bracket..<bracket + special.text.count)
      }
      offset = bracket + 1
    }
    return nil
  }
}

/// Looks words up; trivial, so that a word costs no reference counting.
private struct Speller {
  let nodes: UnsafeBufferPointer<Trie.Node>
  let continuation: Int?
  let unknown: Int32

  /// The pieces of one word; the unknown token for a word that has none.
  @inline(__always)
  func spell(_ word: BertWords.Word, _ body: (Int32, Range<Int>, Bool) -> Void) {
    // A piece has at least one byte.
    withUnsafeTemporaryAllocation(
      of: (id: Int32, end: Int).self, capacity: BertWords.Word.capacity
    ) { found in
      let count = word.isTooLong ? 0 : lookUp(word.bytes, word.byteCount, found)
      guard count > 0 else { return body(unknown, word.range, true) }
      var start = 0
      for index in 0..<count {
        let (id, end) = found[index]
        // Marks may have changed places.
        let first = word.starts[start], last = word.ends[end - 1]
        body(id, first < last ? first..<last : word.range, index == 0)
        start = end
      }
    }
  }

  /// Writes the pieces' ids and ends to `found` and returns their number; 0 when the word cannot be
  /// spelled.
  @inline(__always)
  private func lookUp(
    _ word: UnsafePointer<UInt8>, _ byteCount: Int,
    _ found: UnsafeMutableBufferPointer<(id: Int32, end: Int)>
  ) -> Int {
    var count = 0
    var start = 0
    while start < byteCount {
      guard var node = start == 0 ? 0 : continuation else { return 0 }
      var end = 0
      var id: Int32 = -1
      var offset = start
      while offset < byteCount, let next = Trie.child(of: node, by: word[offset], in: nodes) {
        node = next
        offset += 1
        if nodes[node].value >= 0 { (id, end) = (nodes[node].value, offset) }
      }
      guard id >= 0 else { return 0 }
      found[count] = (id, end)
      count += 1
      start = end
    }
    return count
  }
}

// MARK: Decoding

extension WordPieceTokenizer {
  /// The words with spaces between them, without special tokens; spaces before punctuation and English
  /// contractions go, as the PyPI package has it.
  public func decode(_ ids: [Int32]) -> String {
    let skipped = Set(special.ids)
    var text: [UInt8] = []
    var isFirst = true
    for id in ids where pieces.indices.contains(Int(id)) && !skipped.contains(id) {
      let piece = pieces[Int(id)].utf8
      if !isFirst && piece.starts(with: "##".utf8) {
        text += piece.dropFirst(2)
      } else {
        let isJoined = Self.joined.contains { piece.starts(with: $0.utf8) }
        if !isFirst && !isJoined { text.append(UInt8(ascii: " ")) }
        text += piece
      }
      isFirst = false
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// What is written without a space before it.
  private static let joined = [".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re"]
}
