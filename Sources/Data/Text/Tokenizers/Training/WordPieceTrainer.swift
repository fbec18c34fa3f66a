import Torch

/// Makes a WordPiece vocabulary: characters first, then the most frequent pair of neighbours joined, again
/// and again.
///
/// As the PyPI package `tokenizers` does it (its `WordPieceTrainer` counts pairs like byte-pair
/// encoding), with its defaults for BERT: at most 1,000 characters, no pair that occurs only once. Where
/// pairs are equally frequent its order depends on the run, ours on the pieces.
struct WordPieceTrainer {
  static let specialTokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
  private static let largestAlphabet = 1000, smallestCount = 2

  let training: TokenizerTraining

  init(_ training: TokenizerTraining) { self.training = training }

  func train(
    on text: inout TrainingText, _ report: (TokenizerTrainingEvent) throws -> Void
  ) throws -> [String] {
    var counts: [[UInt8]: Int] = [:]
    var longWords = 0
    var words = BertWords(lowercases: training.lowercases)
    defer { words.deallocate() }
    try text.forEachLine(report) { line in
      words.forEach(in: line, 0..<line.count) { word in
        guard !word.isTooLong else { return longWords += 1 }
        let bytes = UnsafeBufferPointer(start: word.bytes, count: word.byteCount)
        counts[Array(bytes), default: 0] += 1
      }
    }
    try report(.counted(words: counts.count, tooLong: longWords))
    guard !counts.isEmpty else {
      throw MingleError(.badData, "no words to learn from", next: "name files that hold text")
    }
    // Sorted: a dictionary's order differs from run to run.
    let sorted = counts.map { (text: $0.key, count: $0.value) }
      .sorted {
        $0.count != $1.count ? $0.count > $1.count : $0.text.lexicographicallyPrecedes($1.text)
      }
    var merger = PairMerger(pieces: Self.specialTokens)
    add(sorted, to: &merger)
    guard merger.pieces.count <= training.vocabularySize else {
      throw MingleError(
        .usage, "the vocabulary cannot hold the text's characters",
        expected: "at least \(merger.pieces.count)", got: "\(training.vocabularySize)",
        next: "pass --vocabulary \(merger.pieces.count) or more")
    }
    while merger.pieces.count < training.vocabularySize, merger.mergeBest(Self.smallestCount) {
      if merger.pieces.count % 1000 == 0 { try report(.pieces(merger.pieces.count)) }
    }
    try report(.pieces(merger.pieces.count))
    return merger.pieces
  }

  /// The alphabet, then the words spelled with it; rare characters are left out of their words.
  private func add(_ words: [(text: [UInt8], count: Int)], to merger: inout PairMerger) {
    var characters: [Unicode.Scalar: Int] = [:]
    let texts = words.map { String(decoding: $0.text, as: UTF8.self).unicodeScalars }
    for (text, word) in zip(texts, words) {
      for scalar in text { characters[scalar, default: 0] += word.count }
    }
    let alphabet = characters.sorted {
      $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key
    }
    .prefix(Self.largestAlphabet).map(\.key).sorted()
    let known = Set(alphabet)
    let inside = Set(texts.flatMap { $0.dropFirst() }).intersection(known)
    for scalar in alphabet { merger.add(piece: String(scalar)) }
    for scalar in inside.sorted() { merger.add(piece: "##" + String(scalar)) }
    for (text, word) in zip(texts, words) {
      var isFirst = true
      var ids: [Int32] = []
      for scalar in text {
        defer { isFirst = false }
        guard known.contains(scalar) else { continue }
        ids.append(merger.id(of: isFirst ? String(scalar) : "##" + String(scalar)))
      }
      merger.add(word: ids, count: word.count)
    }
    merger.countPairs()
  }
}
