import Layers
import Torch

/// A network that reads tokens: an encoder from tokens to states, and the head of its task.
///
/// `B` texts, `S` tokens of each, `C` channels, `V` tokens of the vocabulary, `K` classes. Tokens are
/// int64 [B, S] with S up to the configuration's sequence length. A `mask` [B, S] is not 0 where a token
/// counts and 0 at padding; `segments` [B, S] (int64) tell the texts of a pair apart. Families that know
/// neither (gMLP, aMLP, Mixer: their papers mask nothing) take them and read on.
///
/// Shapes are the caller's responsibility; ``check(_:mask:segments:)`` tells what is wrong with a user's.
public protocol LanguageModel: Model where Configuration: LanguageConfiguration {
  /// How published weights are read.
  static var weights: LanguageWeights { get }

  /// From tokens [B, S] to states [B, S, C], in order: embedding, blocks, final norm.
  func stages(mask: Tensor?, segments: Tensor?) -> [Stage]
  /// The head of the configuration's task.
  var head: LanguageHead { get }
  /// How many texts of an input the model tells apart; nil where it does not know segments.
  var segmentCount: Int? { get }
  /// Whether the model takes notice of a mask: then padding changes nothing.
  static var heedsMask: Bool { get }
}

extension LanguageModel {
  public var segmentCount: Int? { nil }
  public static var heedsMask: Bool { false }

  /// A vector for each token, after the encoder's last norm: [B, S] -> [B, S, C].
  public func states(_ tokens: Tensor, mask: Tensor? = nil, segments: Tensor? = nil) -> Tensor {
    let shape = tokens.shape
    precondition(
      shape.count == 2 && (1...configuration.sequenceLength).contains(shape[1]),
      "\(Self.self) takes tokens [B, up to \(configuration.sequenceLength)], got \(tokens)")
    return stages(mask: mask, segments: segments).reduce(tokens) { x, stage in stage.run(x) }
  }

  /// What enters the last layer: [B, C] for a model that classifies, else the states [B, S, C].
  public func features(_ tokens: Tensor, mask: Tensor? = nil, segments: Tensor? = nil) -> Tensor {
    head.features(states(tokens, mask: mask, segments: segments))
  }

  /// The answer of the configuration's task: [B, S, V], [B, K] or [B, S, 2] (start, end).
  public func logits(_ tokens: Tensor, mask: Tensor? = nil, segments: Tensor? = nil) -> Tensor {
    head.logits(features(tokens, mask: mask, segments: segments))
  }

  /// The answer at features that were computed before.
  public func logits(ofFeatures features: Tensor) -> Tensor { head.logits(features) }

  /// The logits of the vocabulary at chosen positions alone: -> [P, V].
  ///
  /// - Parameter positions: int64 [P], counted over the whole batch: `b * S + s`.
  public func maskedLogits(
    _ tokens: Tensor, at positions: Tensor, mask: Tensor? = nil, segments: Tensor? = nil
  ) -> Tensor {
    precondition(configuration.task == .masked, "\(configuration.task) has no masked positions")
    let states = states(tokens, mask: mask, segments: segments).flattened(from: 0, to: 1)
    return head.logits(states.indexSelect(0, positions))
  }

  /// The outputs of the named stages, in the order of the names.
  ///
  /// - Throws: `MingleError` for a name that is no stage.
  public func intermediates(
    _ tokens: Tensor, at names: [String], mask: Tensor? = nil, segments: Tensor? = nil
  ) throws -> [Tensor] {
    try outputs(of: stages(mask: mask, segments: segments), at: names, from: tokens)
  }

  /// The same encoder with a new head.
  ///
  /// - Parameters:
  ///   - classCount: how many classes; only for ``LanguageTask/classes``.
  ///   - generator: draws the head's first weights.
  public func replacingHead(
    task: LanguageTask, classCount: Int? = nil, generator: Generator
  ) throws -> Self {
    var configuration = configuration
    configuration.task = task
    if let classCount { configuration.classes = classCount }
    let model = try Self(configuration, generator: generator)
    let own = Dictionary(uniqueKeysWithValues: state.map { ($0.name, $0.tensor) })
    try model.load(model.filled(from: own, freshHead: true))
    return model
  }

  /// What each layer computes for one text of full length; the head of a masked model at
  /// ``LanguageConfiguration/maskedPositions`` positions, as when it is trained.
  ///
  /// The products of attention are counted, as the gMLP paper does. Nothing is computed: the layers are
  /// asked for their shapes.
  public func summary() -> [LayerSummary] {
    withoutMemory {
      guard let outline = try? Self(configuration, generator: nil) else { return [] }
      let length = configuration.sequenceLength
      let tokens = Tensor.zeros([1, length], dtype: .int64)
      return Trace.summarize(outline) {
        if configuration.task == .masked {
          let positions = Tensor.zeros([configuration.maskedPositions], dtype: .int64)
          _ = outline.maskedLogits(tokens, at: positions)
        } else {
          _ = outline.logits(tokens)
        }
      }
    }
  }

  /// A tensor for each key of this model: those of `tensors`, but the head's own where it is to be
  /// fresh. What `tensors` lack stays as it is in this model.
  func filled(from tensors: [String: Tensor], freshHead: Bool) -> [String: Tensor] {
    let pairs = state.map { name, tensor in
      freshHead && Self.weights.isDrawnAnew(name) ? (name, tensor) : (name, tensors[name] ?? tensor)
    }
    return Dictionary(uniqueKeysWithValues: pairs)
  }
}

extension LanguageModel {
  /// - Throws: `MingleError` (`badData`) unless these tokens, mask and segments are what the model takes:
  ///   what is wrong, and where.
  public func check(_ tokens: Tensor, mask: Tensor? = nil, segments: Tensor? = nil) throws {
    let limit = configuration.sequenceLength
    guard tokens.dtype == .int64, tokens.rank == 2, tokens.count > 0 else {
      throw MingleError(
        .badData, "the tokens are not what the model takes", expected: "[texts, tokens] int64",
        got: "\(tokens)")
    }
    guard tokens.shape[1] <= limit else {
      throw MingleError(
        .badData, "the text is longer than the model reads at once", expected: "at most \(limit)",
        got: "\(tokens.shape[1]) tokens", next: "cut it, or read it in windows")
    }
    try checkRange("token", tokens, below: configuration.vocabulary)
    for (name, other) in [("mask", mask), ("segments", segments)] {
      guard let other, other.shape != tokens.shape else { continue }
      throw MingleError(
        .badData, "the \(name) must have one number for each token", expected: "\(tokens.shape)",
        got: "\(other.shape)")
    }
    if let segments, let segmentCount {
      guard segments.dtype == .int64 else {
        throw MingleError(
          .badData, "the segments have a wrong type", expected: "int64", got: segments.dtype.name)
      }
      try checkRange("segment", segments, below: segmentCount)
    }
    if let mask, mask.to(.float32).sum([1]).min().item <= 0 {
      throw MingleError(.badData, "the mask leaves no token of a text", expected: "one or more")
    }
  }

  private func checkRange(_ what: String, _ ids: Tensor, below limit: Int) throws {
    let (low, high) = (Int(ids.min().item), Int(ids.max().item))
    guard low >= 0, high < limit else {
      throw MingleError(
        .badData, "a \(what) is not one of the model's", expected: "0 to \(limit - 1)",
        got: "\(low < 0 ? low : high)")
    }
  }
}
