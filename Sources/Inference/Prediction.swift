/// One of the classes that a picture may be of.
public struct Prediction: Codable, Hashable, Sendable {
  /// The class's name, or its number where nobody gave it one.
  public let label: String
  /// The class's place in the logits.
  public let classIndex: Int
  /// Softmax of the logits, from 0 to 1.
  public let probability: Double
}
