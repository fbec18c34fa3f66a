import Torch

/// Puts a text, or two, into the form that a model reads: `<cls> a <sep>` or `<cls> a <sep> b <sep>`.
///
/// What is longer than the model's sequence is cut at the end; of two texts tokens are taken from the
/// longer one, as long as it is, else from both in turn (BERT's rule).
public struct PairEncoder: Sendable {
  public let tokenizer: any Tokenizer
  /// The most tokens of an encoded text, special ones included: the model's `S`.
  public let length: Int
  let cls: Int32
  let separator: Int32
  let padding: Int32

  /// - Throws: `MingleError` (`badData`) when the vocabulary lacks `<cls>`, `<sep>` or `<pad>`;
  ///   (`usage`) for a length below 4.
  public init(_ tokenizer: any Tokenizer, length: Int) throws {
    guard (4...1 << 20).contains(length) else {
      throw MingleError(
        .usage, "sequence length out of range", expected: "4 to \(1 << 20)", got: "\(length)")
    }
    self.tokenizer = tokenizer
    self.length = length
    cls = try tokenizer.special.require(\.classification)
    separator = try tokenizer.special.require(\.separator)
    padding = try tokenizer.special.require(\.padding)
  }

  public func encode(_ text: String, _ pair: String? = nil) -> EncodedText {
    encode(tokenizer.encode(text), pair.map(tokenizer.encode))
  }

  func encode(_ a: [Int32], _ b: [Int32]?) -> EncodedText {
    let room = length - (b == nil ? 2 : 3)
    let countB = b?.count ?? 0
    let isCut = a.count + countB > room
    let keptA = min(a.count, max(room - countB, (room + 1) / 2))
    var tokens = [cls] + a.prefix(b == nil ? room : keptA) + [separator]
    let firstCount = tokens.count
    if let b { tokens += b.prefix(room - min(keptA, a.count)) + [separator] }
    return EncodedText(tokens: tokens, firstCount: firstCount, isCut: isCut)
  }
}

/// A text, or pair, as a model reads it.
public struct EncodedText: Hashable, Sendable {
  public let tokens: [Int32]
  /// How many of the tokens belong to the first text, `<cls>` and its `<sep>` included: segment 0.
  public let firstCount: Int
  /// Whether a text was too long.
  public let isCut: Bool
}

/// Encoded texts with their labels.
public struct EncodedExamples: Sendable {
  public let examples: TextExamples
  public let encoder: PairEncoder
  public let texts: [EncodedText]
  /// How many were too long for the model, and cut.
  public let cutCount: Int

  public var count: Int { texts.count }

  /// Encodes all texts, on threads.
  public init(_ examples: TextExamples, encoder: PairEncoder, workers: Int = 1) throws {
    let size = 256
    let count = examples.count
    let stream = PreparedStream(
      0..<(count + size - 1) / size, workers: workers, ahead: 4 * workers
    ) { chunk in
      (chunk * size..<min((chunk + 1) * size, count)).map {
        encoder.encode(examples.texts[$0], examples.pairs?[$0])
      }
    }
    var texts: [EncodedText] = []
    texts.reserveCapacity(count)
    while let chunk = try stream.next() { texts += chunk }
    self.examples = examples
    self.encoder = encoder
    self.texts = texts
    cutCount = texts.count { $0.isCut }
  }
}
