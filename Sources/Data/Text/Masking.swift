import Torch

/// Which tokens a masked language model has to find, and what it sees in their place (Devlin et al.,
/// "BERT", arXiv 1810.04805, section 3.1).
///
/// Of a sequence's tokens, special ones apart, `rate` are chosen at random: rounded, and at least one.
/// Of the chosen ones `maskShare` become `<mask>`, `randomShare` any token that is not special, and the
/// rest stay. With `wholeWords`, words are chosen instead of tokens, as many as fit the same number;
/// what becomes of each token is drawn for itself.
public struct Masking: Codable, Hashable, Sendable {
  public var rate = 0.15
  public var maskShare = 0.8
  public var randomShare = 0.1
  public var wholeWords = false

  public init() {}

  package static var fields: [Field<Masking>] {
    [
      Field("rate", \.rate), Field("mask_share", \.maskShare),
      Field("random_share", \.randomShare), Field("whole_words", \.wholeWords),
    ]
  }

  /// A key that is not there keeps its default.
  public init(from decoder: any Decoder) throws {
    self.init()
    try Self.fields.read(into: &self, from: decoder)
  }

  public func encode(to encoder: any Encoder) throws { try Self.fields.write(self, to: encoder) }

  /// - Throws: `MingleError` (`usage`) for shares that cannot be.
  public func validate() throws {
    let shares = "0 to 1, together at most 1"
    for (name, value, expected, isRight) in [
      ("masking rate", rate, "above 0, at most 1", rate > 0 && rate <= 1),
      ("share of masks", maskShare, shares, maskShare >= 0 && maskShare <= 1),
      (
        "share of random tokens", randomShare, shares,
        randomShare >= 0 && randomShare + maskShare <= 1
      ),
    ] where !isRight {
      throw MingleError(.usage, "\(name) out of range", expected: expected, got: "\(value)")
    }
  }

  /// Masks a sequence.
  ///
  /// - Returns: The places of the chosen tokens in rising order, and what stood there.
  func apply(
    to tokens: inout [Int32], startsWord: [Bool], vocabulary: MaskingVocabulary,
    random: inout RandomNumbers
  ) -> [(place: Int, label: Int32)] {
    let candidates = tokens.indices.filter { !vocabulary.isSpecial(tokens[$0]) }
    guard !candidates.isEmpty else { return [] }
    let wanted = max(1, Int((rate * Double(candidates.count)).rounded()))
    let chosen =
      wholeWords
      ? words(candidates, startsWord, wanted: wanted, random: &random)
      : drawn(candidates, wanted: wanted, random: &random)
    return chosen.map { place in
      let label = tokens[place]
      let chance = random.uniform()
      if chance < maskShare {
        tokens[place] = vocabulary.mask
      } else if chance < maskShare + randomShare {
        tokens[place] = vocabulary.ordinary(random.below(vocabulary.ordinaryCount))
      }
      return (place, label)
    }
  }

  /// `wanted` of the candidates, each as likely, in rising order.
  private func drawn(
    _ candidates: [Int], wanted: Int, random: inout RandomNumbers
  ) -> [Int] {
    var places = candidates
    for index in 0..<wanted { places.swapAt(index, index + random.below(places.count - index)) }
    return places.prefix(wanted).sorted()
  }

  /// Whole words with together at most `wanted` tokens; one word in any case.
  private func words(
    _ candidates: [Int], _ startsWord: [Bool], wanted: Int, random: inout RandomNumbers
  ) -> [Int] {
    var starts: [Int] = []
    for (index, place) in candidates.enumerated()
    where index == 0 || startsWord[place] || candidates[index - 1] != place - 1 {
      starts.append(index)
    }
    var chosen: [Int] = []
    var first: Range<Int>?
    for word in random.permutation(starts.count) {
      let end = word + 1 < starts.count ? starts[word + 1] : candidates.count
      let range = starts[word]..<end
      if first == nil { first = range }
      if chosen.count + range.count <= wanted { chosen += candidates[range] }
      if chosen.count == wanted { break }
    }
    if chosen.isEmpty, let first { chosen += candidates[first] }
    return chosen.sorted()
  }
}

/// What masking must know of a vocabulary.
struct MaskingVocabulary: Sendable {
  let mask: Int32
  /// How many tokens are not special.
  let ordinaryCount: Int
  private let special: [Int32]

  /// - Throws: `MingleError` (`badData`) when the vocabulary has no `<mask>`, or nothing else than
  ///   special tokens.
  init(_ special: SpecialTokens, vocabularySize: Int) throws {
    mask = try special.require(\.mask)
    self.special = special.ids
    ordinaryCount = vocabularySize - special.ids.count
    guard ordinaryCount > 0 else {
      throw MingleError(.badData, "a vocabulary of nothing but special tokens")
    }
  }

  func isSpecial(_ id: Int32) -> Bool { special.contains(id) }

  /// The ordinary token with that number.
  func ordinary(_ number: Int) -> Int32 {
    var id = Int32(number)
    for other in special where other <= id { id += 1 }
    return id
  }
}
