/// An epoch as a row of `metrics.csv` holds it.
package struct MetricsRow: Hashable, Sendable {
  package let epoch: Int
  package let learningRate: Double
  package let trainingLoss: Double
  /// Nil where it was not finite.
  package let validationLoss: Double?
  /// Of a task with an accuracy.
  package let accuracy: Double?
  /// Of a task with a perplexity.
  package let perplexity: Double?
  /// Of questions, in percent.
  package let f1: Double?
  /// Of values.
  package let spearman: Double?
  /// Pictures, or tokens of text.
  package let unitsPerSecond: Double
  /// Of training, since the run began.
  package let seconds: Double
  /// What the balance of experts adds to the loss; nil for a model without experts.
  package let balanceLoss: Double?
  /// The smallest share of an expert in its layer's choices, and the largest.
  package let leastUsedExpert: Double?
  package let mostUsedExpert: Double?

  /// The rows of the text of a `metrics.csv`; lines that are none are passed over.
  package static func rows(of csv: String) -> [MetricsRow] {
    let lines = csv.split(whereSeparator: \.isNewline).map {
      $0.split(separator: ",", omittingEmptySubsequences: false)
    }
    guard let header = lines.first else { return [] }
    return lines.dropFirst().compactMap { fields in
      guard fields.count == header.count else { return nil }
      return MetricsRow(Dictionary(zip(header, fields)) { first, _ in first })
    }
  }

  private init?(_ fields: [Substring: Substring]) {
    func number(_ name: Substring) -> Double? {
      fields[name].flatMap { Double($0) }.flatMap { $0.isFinite ? $0 : nil }
    }
    guard let epoch = fields["epoch"].flatMap({ Int($0) }),
      let learningRate = number("learning_rate"), let trainingLoss = number("training_loss"),
      let seconds = number("seconds"),
      let speed = fields.keys.first(where: { $0.hasSuffix("_per_second") }).flatMap(number)
    else { return nil }
    self.epoch = epoch
    self.learningRate = learningRate
    self.trainingLoss = trainingLoss
    self.validationLoss = number("validation_loss")
    accuracy = number("accuracy")
    perplexity = number("perplexity")
    f1 = number("f1")
    spearman = number("spearman")
    unitsPerSecond = speed
    self.seconds = seconds
    balanceLoss = number("balance_loss")
    leastUsedExpert = number("least_used_expert")
    mostUsedExpert = number("most_used_expert")
  }
}
