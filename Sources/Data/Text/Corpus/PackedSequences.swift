import Torch

/// A corpus cut into sequences of one length for masked language models.
///
/// The documents follow each other, each but the last ended by `<sep>`; this stream is cut every
/// `length - 2` tokens, and each piece put between `<cls>` and `<sep>`. So a sequence is full of text,
/// and may hold the end of one document and the beginning of the next. The cut does not depend on
/// anything else: sequence `i` is computed from the token file alone, for any `i` at once.
public struct PackedSequences: Sendable {
  public let corpus: TokenCorpus
  /// Tokens in a sequence, `<cls>` and `<sep>` included: `S`.
  public let length: Int
  /// How many sequences there are.
  public var count: Int { range.count }
  private let range: Range<Int>
  private let cls: Int32
  private let separator: Int32
  /// Nil where every sequence is full.
  private let padding: Int32?

  /// - Parameter keepsLast: Fills the last sequence up with `<pad>` instead of leaving out what does
  ///   not fill it.
  /// - Throws: `MingleError` (`usage`) for a length below 3; (`badData`) when the vocabulary lacks
  ///   a special token, or there is less text than a sequence.
  public init(_ corpus: TokenCorpus, length: Int, keepsLast: Bool = false) throws {
    guard (3...1 << 20).contains(length) else {
      throw MingleError(
        .usage, "sequence length out of range", expected: "3 to \(1 << 20)", got: "\(length)")
    }
    self.corpus = corpus
    self.length = length
    cls = try corpus.special.require(\.classification)
    separator = try corpus.special.require(\.separator)
    padding = keepsLast ? try corpus.special.require(\.padding) : nil
    let total = corpus.tokenCount + corpus.documentCount - 1
    let content = length - 2
    range = 0..<(keepsLast ? (total + content - 1) / content : total / content)
    guard !range.isEmpty else {
      throw MingleError(
        .badData, "less text than a sequence", in: corpus.name,
        expected: "at least \(content) tokens", got: "\(total)",
        next: "use more text, or a shorter sequence_length")
    }
  }

  private init(_ other: PackedSequences, range: Range<Int>) {
    (corpus, length, cls, separator, padding) =
      (other.corpus, other.length, other.cls, other.separator, other.padding)
    self.range = range
  }

  /// The first `count` sequences, or all where there are fewer.
  package func prefix(_ count: Int) -> PackedSequences {
    PackedSequences(
      self, range: range.lowerBound..<range.lowerBound + min(max(1, count), self.count))
  }

  /// The first sequences for training and the last for validation.
  ///
  /// - Throws: `MingleError` (`badData`) when one part would be empty.
  public func split(holdingOut fraction: Double) throws -> (
    train: PackedSequences, validation: PackedSequences
  ) {
    let held = Int((Double(count) * fraction).rounded())
    guard held > 0, held < count else {
      throw MingleError(
        .badData, "too few sequences to hold some out", in: corpus.name,
        expected: "at least one of \(count) for each part", got: "\(fraction) of them",
        next: "name a text for validation")
    }
    let middle = range.upperBound - held
    return (
      PackedSequences(self, range: range.lowerBound..<middle),
      PackedSequences(self, range: middle..<range.upperBound)
    )
  }

  /// One sequence: `tokens`, and for each whether it begins a word. Only the last can be shorter than
  /// `length`; then `contentCount` tokens are text and the rest is `<pad>`.
  package func sequence(at index: Int) -> (tokens: [Int32], startsWord: [Bool], contentCount: Int) {
    precondition((0..<count).contains(index), "sequence \(index) of \(count)")
    var tokens: [Int32] = [cls]
    var startsWord = [false]
    tokens.reserveCapacity(length)
    startsWord.reserveCapacity(length)
    let content = length - 2
    var position = (range.lowerBound + index) * content
    let end = min(position + content, corpus.tokenCount + corpus.documentCount - 1)
    var document = self.document(at: position)
    while position < end {
      // The document's tokens lie behind as many separators as there are documents before it.
      let stop = min(end, corpus.end(ofDocument: document) + document)
      if position < stop {
        corpus.append(position - document..<stop - document, to: &tokens, &startsWord)
        position = stop
      }
      if position < end {
        tokens.append(separator)
        startsWord.append(false)
        position += 1
        document += 1
      }
    }
    tokens.append(separator)
    startsWord.append(false)
    let contentCount = tokens.count
    if let padding, contentCount < length {
      tokens += Array(repeating: padding, count: length - contentCount)
      startsWord += Array(repeating: false, count: length - contentCount)
    }
    return (tokens, startsWord, contentCount)
  }

  /// The document to which a place of the stream, or the separator there, belongs.
  private func document(at position: Int) -> Int {
    var low = 0
    var high = corpus.documentCount - 1
    while low < high {
      let middle = (low + high) / 2
      if corpus.end(ofDocument: middle) + middle >= position {
        high = middle
      } else {
        low = middle + 1
      }
    }
    return low
  }
}
