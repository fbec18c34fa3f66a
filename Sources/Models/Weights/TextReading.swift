/// How texts become a language model's input, and its output answers: what was decided for training
/// and holds for use as well. Saved with the weights.
public struct TextReading: Codable, Hashable, Sendable {
  /// The most tokens of a text; nil: as many as the model takes.
  public var length: Int?
  /// Whether a question may have no answer (SQuAD 2.0).
  public var allowsNone: Bool

  public init(length: Int? = nil, allowsNone: Bool = false) {
    self.length = length
    self.allowsNone = allowsNone
  }

  enum CodingKeys: String, CodingKey { case length, allowsNone = "allows_none" }
}
