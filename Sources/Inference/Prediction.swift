/// One of the classes that a picture may be of.
public struct Prediction: Codable, Hashable, Sendable {
  /// The class's name, or its number where nobody gave it one.
  public let label: String
  /// The class's place in the logits.
  public let classIndex: Int
  /// From 0 to 1: by softmax, or by sigmoid where the network was trained with it.
  public let probability: Double
}
