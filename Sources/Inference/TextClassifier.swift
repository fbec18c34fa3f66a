import Data
import Models
import Torch

/// Tells the class, or the value, of texts.
///
/// ```swift
/// let classifier = try TextClassifier("runs/sst2")
/// print(try classifier.classify("A gripping film.", top: 2))
/// ```
///
/// `B` texts, `K` classes.
public final class TextClassifier {
  public let model: LoadedLanguageModel
  private let encoder: PairEncoder
  private static let batchSize = 32

  /// - Throws: `MingleError` (`usage`) if the model was trained for something else.
  public init(_ model: LoadedLanguageModel) throws {
    try model.require(.classes)
    self.model = model
    encoder = try model.encoder()
  }

  /// Reads a run's folder (its best weights) or a file of weights.
  ///
  /// - Throws: `MingleError` as ``LoadedLanguageModel/init(_:tokenizer:_:precision:device:)`` does.
  public convenience init(_ path: String) throws { try self.init(LoadedLanguageModel(path)) }

  /// Whether the answers are values, as the similarity of two texts, instead of classes.
  public var givesValues: Bool {
    model.checkpoint.labels == nil && model.checkpoint.model.configuration.classes == 1
  }

  /// The class's name, or its number.
  public func label(of index: Int) -> String { model.checkpoint.labels?[index] ?? "\(index)" }

  /// The most likely classes of a text, or of a pair, the likeliest first.
  ///
  /// - Throws: `MingleError` if the network's answer is no number.
  public func classify(
    _ text: String, _ pair: String? = nil, top: Int = 5
  ) throws -> [Prediction] {
    try classify([(text, pair)], top: top)[0].predictions
  }

  /// The most likely classes of each of several texts, or pairs, and whether a text was too long and
  /// cut.
  ///
  /// - Parameter top: how many classes; all where the model has fewer.
  /// - Throws: `MingleError` if the network's answer is no number.
  public func classify(
    _ texts: [(text: String, pair: String?)], top: Int = 5
  ) throws -> [(predictions: [Prediction], isCut: Bool)] {
    try answers(to: texts) { logits in
      let count = min(max(1, top), logits.shape[1])
      let best = logits.softmax(-1).topK(count)
      let shares = best.values.array(of: Double.self)
      try model.requireFinite(shares)
      let indices = best.indices.array(of: Int.self)
      return stride(from: 0, to: indices.count, by: count).map { start in
        (start..<start + count).map {
          Prediction(
            label: label(of: indices[$0]), classIndex: indices[$0], probability: shares[$0])
        }
      }
    }.map { (predictions: $0.answer, isCut: $0.isCut) }
  }

  /// The value of each of several texts, or pairs, and whether a text was too long and cut.
  ///
  /// - Throws: `MingleError` if the network's answer is no number.
  public func values(
    of texts: [(text: String, pair: String?)]
  ) throws -> [(value: Double, isCut: Bool)] {
    try answers(to: texts) { logits in
      let values = logits.array(of: Double.self)
      try model.requireFinite(values)
      return values
    }.map { (value: $0.answer, isCut: $0.isCut) }
  }

  /// - Parameter read: from logits [B, K] to `B` answers.
  private func answers<Answer>(
    to texts: [(text: String, pair: String?)], _ read: (Tensor) throws -> [Answer]
  ) throws -> [(answer: Answer, isCut: Bool)] {
    let padding = type(of: model.checkpoint.model).textPadding
    var result: [(answer: Answer, isCut: Bool)] = []
    for start in stride(from: 0, to: texts.count, by: Self.batchSize) {
      let encoded = texts[start..<min(start + Self.batchSize, texts.count)].map {
        encoder.encode($0.text, $0.pair)
      }
      let batch = encoder.batch(encoded, padding: padding)
      let answers = try read(model.logits(batch))
      result += zip(answers, encoded).map { (answer: $0, isCut: $1.isCut) }
    }
    return result
  }
}
