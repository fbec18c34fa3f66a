// The rows of a run's `metrics.csv`.

extension EpochReport {
  /// With layers of experts, columns for their balance follow: losses summed and extremes over all of
  /// them, then each layer's own.
  ///
  /// - Parameter units: what the speed counts: "images", "tokens".
  func csvHeader(units: String) -> String {
    let common =
      ["epoch", "step", "learning_rate", "training_loss", "validation_loss"]
      + validation.columns.map(\.name) + ["\(units)_per_second", "seconds"]
    guard let experts else { return common.joined(separator: ",") }
    let balance =
      ["balance_loss"] + Self.balanceColumns
      + experts.layers.flatMap { layer in Self.balanceColumns.map { "\(layer.name).\($0)" } }
    return (common + balance).joined(separator: ",")
  }

  private static let balanceColumns = [
    "importance_loss", "load_loss", "least_used_expert", "most_used_expert",
  ]

  var csvRow: String {
    let common =
      [
        "\(epoch)", "\(step)", "\(learningRate)", "\(trainingLoss)",
        validation.loss.map { "\($0)" } ?? "",
      ] + validation.columns.map { "\($0.value)" } + ["\(unitsPerSecond)", "\(seconds)"]
    return (common + balance.map { "\($0)" }).joined(separator: ",")
  }

  private var balance: [Double] {
    guard let experts else { return [] }
    return [
      experts.balanceLoss, experts.importanceLoss, experts.loadLoss, experts.leastUsed,
      experts.mostUsed,
    ] + experts.layers.flatMap { [$0.importanceLoss, $0.loadLoss, $0.leastUsed, $0.mostUsed] }
  }
}
