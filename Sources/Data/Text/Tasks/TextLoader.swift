import Torch

/// Forms batches of encoded texts, on threads of its own.
///
/// A batch is a function of the texts, the options without `workers` and `prefetch`, and its place
/// (epoch, position): a run that starts in the middle of an epoch goes on as if it had never stopped.
public final class TextLoader: Sendable {
  public let data: EncodedExamples
  public let options: LoaderOptions
  public let padding: TextPadding

  /// - Throws: `MingleError` (`usage`) for options that cannot be; (`badData`) when there are fewer
  ///   texts than a batch and short ones are dropped.
  public init(
    _ data: EncodedExamples, options: LoaderOptions, padding: TextPadding = .longest
  ) throws {
    try options.validate(sampleCount: data.count, in: data.examples.name)
    self.data = data
    self.options = options
    self.padding = padding
  }

  public var batchesPerEpoch: Int { options.batchCount(of: data.count) }

  /// The batches of an epoch from position `start` on. Without shuffling, texts come in the order of
  /// their lengths: `TextBatch.indices` tells which they are.
  public func batches(epoch: Int, from start: Int = 0) -> PreparedStream<TextBatch> {
    precondition(
      epoch >= 0 && (0...batchesPerEpoch).contains(start),
      "batch \(start) of \(batchesPerEpoch) in epoch \(epoch)")
    let lengths = padding == .longest ? data.texts.map(\.tokens.count) : nil
    let buckets = LengthBuckets(
      count: data.count, lengths: lengths, options: options, epoch: epoch)
    return PreparedStream(
      start..<batchesPerEpoch, workers: options.workers, ahead: options.prefetch
    ) { [self] in batch(buckets.batches[$0], position: $0) }
  }

  private func batch(_ indices: [Int], position: Int) -> TextBatch {
    let labels: Tensor? =
      switch data.examples.labels {
      case .none: nil
      case .classes(let classes): Tensor(indices.map { Int64(classes[$0]) })
      case .values(let values): Tensor(indices.map { Float(values[$0]) })
      }
    return TextBatch(
      indices.map { data.texts[$0] }, labels: labels, indices: indices, position: position,
      padding: data.encoder.padding, minimumLength: padding == .full ? data.encoder.length : 0)
  }
}
