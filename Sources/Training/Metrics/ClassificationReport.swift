/// How well a classifier did on a data set. Shares are from 0 to 1.
public struct ClassificationReport: Codable, Sendable, Hashable {
  public struct TopK: Codable, Sendable, Hashable {
    /// 5, or the number of classes where that is smaller.
    public let k: Int
    public let accuracy: Double
  }

  /// How well one class was found.
  public struct Class: Codable, Sendable, Hashable {
    public let name: String
    /// The share of the pictures taken for this class that are of it; 0 if none was.
    public let precision: Double
    /// The share of the pictures of this class that were taken for it; 0 if there are none.
    public let recall: Double
    /// The harmonic mean of precision and recall.
    public let f1: Double
    /// How many pictures of this class there were.
    public let support: Int
  }

  /// The most classes for which the confusion matrix is kept in a report.
  public static let largestConfusion = 200

  /// How many pictures there were.
  public let samples: Int
  /// The mean loss, if it was measured and is finite.
  public let loss: Double?
  public let accuracy: Double
  public let topK: TopK
  /// The mean F1 of the classes that occur among labels or answers.
  public let macroF1: Double
  public let classes: [Class]
  /// How many pictures of the row's class were taken for the column's; nil for very many classes.
  public let confusion: [[Int]]?

  enum CodingKeys: String, CodingKey {
    case samples, loss, accuracy, classes, confusion
    case topK = "top_k", macroF1 = "macro_f1"
  }
}
