import Torch

/// Makes a unigram model: many substrings first, then, by turns, their probabilities (expectation
/// maximisation) and fewer of them.
///
/// T. Kudo, arXiv 1804.10959, section 3.2, as the PyPI package `sentencepiece` 0.2.3 does it with its
/// defaults: words part at white space, a piece has at most 16 characters of one script, a quarter of the
/// pieces goes in each round. Sums are rounded as it rounds them with 16 threads, so that the same text
/// gives its pieces. Other than there, long lines are not left out, and `▅` is a rare character.
struct UnigramTrainer {
  static let controlSymbols = ["<cls>", "<sep>", "<mask>"]
  /// Longer words are left out: their lattices take too much memory.
  private static let longestWord = 4096
  private static let keptShare: Float = 0.75
  private static let roundsBetweenPruning = 2

  let training: TokenizerTraining

  init(_ training: TokenizerTraining) { self.training = training }

  /// `<pad>`, `<unk>`, `<cls>`, `<sep>`, `<mask>`.
  private var metaPieces: [SentencePieceModel.Piece] {
    let texts = ["<pad>", "<unk>"] + Self.controlSymbols
    return texts.map { text in
      SentencePieceModel.Piece(
        text: Array(text.utf8), kind: text == "<unk>" ? .unknown : .control)
    }
  }

  func train(
    on text: inout TrainingText, _ report: (TokenizerTrainingEvent) throws -> Void
  ) throws -> SentencePieceModel {
    var normalization = SentencePieceModel.Normalization()
    normalization.name = "nmt_nfkc"
    normalization.map = CharacterMap.standard
    let normalizer = try TextNormalizer(
      normalization, spaceIsSuffix: false, symbols: nil, place: "the character map")
    var corpus = WordCounts(metaPieces: metaPieces.map(\.text), longestWord: Self.longestWord)
    try text.forEachLine(report) { corpus.add(normalizer.normalize($0).bytes) }
    let words = try corpus.words(coverage: training.characterCoverage)
    try report(.counted(words: words.sentences.count, tooLong: corpus.longWords))
    let needed = words.alphabet.count + metaPieces.count
    guard needed <= training.vocabularySize else {
      throw MingleError(
        .usage, "the vocabulary cannot hold the text's characters", expected: "at least \(needed)",
        got: "\(training.vocabularySize)", next: "pass --vocabulary \(needed) or more")
    }
    let pieces = try pieces(for: words, report)
    var model = SentencePieceModel()
    model.normalization = normalization
    model.pieces = metaPieces + finalPieces(of: pieces, words.alphabet)
    model.paddingID = 0
    guard model.pieces.count == training.vocabularySize else {
      throw MingleError(
        .usage, "the text has too few pieces for the vocabulary",
        expected: "at most \(model.pieces.count)", got: "\(training.vocabularySize)",
        next: "pass --vocabulary \(model.pieces.count), or more text")
    }
    return model
  }

  private func pieces(
    for words: TrainingWords, _ report: (TokenizerTrainingEvent) throws -> Void
  ) throws -> UnigramPieces {
    let desired = Int(Double(training.vocabularySize) * 1.1)
    var seeds = SeedPieces(words)
    var pieces = seeds.pieces()
    while true {
      for _ in 0..<Self.roundsBetweenPruning {
        try report(.pieces(pieces.count))
        pieces = pieces.maximized(UnigramExpectation(pieces).counts(words.sentences))
        guard pieces.count > 0 else {
          throw MingleError(.badData, "too little text to learn from", next: "name more text")
        }
      }
      let share = Int(Self.keptShare * Float(pieces.count))
      pieces = UnigramPruning(pieces).kept(max(desired, share), words.sentences)
      if pieces.count <= desired { return pieces }
    }
  }

  /// The alphabet and the likeliest pieces, likeliest first.
  private func finalPieces(
    of pieces: UnigramPieces, _ alphabet: [(character: [UInt8], count: Int)]
  ) -> [SentencePieceModel.Piece] {
    var scores: [[UInt8]: Float] = [:]
    for index in 0..<pieces.count { scores[Array(pieces.texts[index])] = pieces.scores[index] }
    let lowest = pieces.scores.min() ?? 0
    // Characters that no piece stands for are told apart by a small step.
    var penalty: Float = 0
    var final: [(text: [UInt8], score: Float)] = []
    for (character, _) in alphabet {
      if let score = scores.removeValue(forKey: character) {
        final.append((character, score))
      } else {
        final.append((character, lowest + penalty))
        penalty += 0.0001
      }
    }
    let precedes = { (left: (text: [UInt8], score: Float), right: (text: [UInt8], score: Float)) in
      left.score != right.score
        ? left.score > right.score : left.text.lexicographicallyPrecedes(right.text)
    }
    let rest = scores.map { (text: $0.key, score: $0.value) }.sorted(by: precedes)
    final += rest.prefix(max(0, training.vocabularySize - metaPieces.count - final.count))
    return final.sorted(by: precedes).map {
      SentencePieceModel.Piece(text: $0.text, score: $0.score)
    }
  }
}

/// Pieces and the logarithms of their probabilities.
struct UnigramPieces: Sendable {
  var texts = ByteStrings()
  var scores: [Float] = []

  var count: Int { scores.count }

  mutating func append(_ text: some Sequence<UInt8>, _ score: Float) {
    texts.append(text)
    scores.append(score)
  }

  /// The pieces that are expected at least half a time, with new scores (the digamma function instead of
  /// the logarithm makes rare ones rarer).
  func maximized(_ counts: [Float]) -> UnigramPieces {
    var result = UnigramPieces()
    var sum: Float = 0
    for (index, count) in counts.enumerated() where count >= 0.5 {
      result.append(texts[index], count)
      sum += count
    }
    let total = Float(digamma(Double(sum)))
    result.scores = result.scores.map { Float(digamma(Double($0)) - Double(total)) }
    return result
  }
}
