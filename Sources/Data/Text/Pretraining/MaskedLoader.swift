import Torch

/// Forms batches of masked sequences, on threads of its own.
///
/// Order and masks are functions of the seed, the epoch and the sequence: neither the number of
/// threads nor what was read before counts, and any place of an epoch is reached directly. Training
/// (`options.isShuffled`) takes other masks in each epoch; otherwise the mask of a sequence is the same
/// always, so that validation measures the same each time.
public final class MaskedLoader: Sendable {
  public let sequences: PackedSequences
  public let masking: Masking
  public let options: LoaderOptions
  private let vocabulary: MaskingVocabulary

  /// - Throws: `MingleError` (`usage`) for options that cannot be; (`badData`) when there are fewer
  ///   sequences than a batch and short ones are dropped, or the vocabulary has no `<mask>`.
  public init(
    _ sequences: PackedSequences, masking: Masking = Masking(), options: LoaderOptions
  ) throws {
    try masking.validate()
    try options.validate(sampleCount: sequences.count, in: sequences.corpus.name)
    vocabulary = try MaskingVocabulary(
      sequences.corpus.special, vocabularySize: sequences.corpus.vocabularySize)
    self.sequences = sequences
    self.masking = masking
    self.options = options
  }

  public var batchesPerEpoch: Int { options.batchCount(of: sequences.count) }

  /// The batches of an epoch from position `start` on.
  public func batches(epoch: Int, from start: Int = 0) -> PreparedStream<MaskedBatch> {
    precondition(
      epoch >= 0 && (0...batchesPerEpoch).contains(start),
      "batch \(start) of \(batchesPerEpoch) in epoch \(epoch)")
    let order = order(epoch: epoch)
    return PreparedStream(
      start..<batchesPerEpoch, workers: options.workers, ahead: options.prefetch
    ) { [self] in batch(at: $0, epoch: epoch, order: order) }
  }

  /// The sequences of an epoch in their order; nil for the corpus's own.
  private func order(epoch: Int) -> [Int]? {
    guard options.isShuffled else { return nil }
    var random = RandomNumbers(seed: options.seed, .order, epoch: epoch)
    return random.permutation(sequences.count)
  }

  private func batch(at position: Int, epoch: Int, order: [Int]?) -> MaskedBatch {
    let first = position * options.batchSize
    let places = first..<min(first + options.batchSize, sequences.count)
    let indices = places.map { order?[$0] ?? $0 }
    let length = sequences.length
    var tokens: [Int64] = []
    var positions: [Int64] = []
    var labels: [Int64] = []
    var contentCounts: [Int] = []
    tokens.reserveCapacity(indices.count * length)
    for (row, index) in indices.enumerated() {
      var (ids, startsWord, contentCount) = sequences.sequence(at: index)
      var random = RandomNumbers(
        seed: options.seed, .masking, epoch: options.isShuffled ? epoch : 0, position: index)
      let chosen = masking.apply(
        to: &ids, startsWord: startsWord, vocabulary: vocabulary, random: &random)
      for (place, label) in chosen {
        positions.append(Int64(row * length + place))
        labels.append(Int64(label))
      }
      tokens.append(contentsOf: ids.lazy.map { Int64($0) })
      contentCounts.append(contentCount)
    }
    let shape = [indices.count, length]
    return MaskedBatch(
      tokens: Tensor(tokens, shape: shape), mask: maskTensor(contentCounts, length: length),
      positions: Tensor(positions), labels: Tensor(labels), indices: indices, position: position)
  }
}

/// 1 for the first `counts[row]` tokens of each row and 0 behind them: int64 [B, S]; nil where all rows
/// are full.
func maskTensor(_ counts: [Int], length: Int) -> Tensor? {
  guard counts.contains(where: { $0 < length }) else { return nil }
  let values = counts.flatMap { count in
    (0..<length).map { Int64($0 < count ? 1 : 0) }
  }
  return Tensor(values, shape: [counts.count, length])
}
