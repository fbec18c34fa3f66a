// The rows of a run's `metrics.csv`.

extension EpochReport {
  /// - Parameter experts: the paths of the model's layers of experts; with any, columns for their
  ///   balance follow: losses summed and extremes over all of them, then each layer's own.
  static func csvHeader(experts: [String]) -> String {
    let common =
      "epoch,step,learning_rate,training_loss,validation_loss,accuracy,top_k_accuracy,macro_f1,"
      + "images_per_second,seconds"
    guard !experts.isEmpty else { return common }
    let columns =
      ["balance_loss"] + balanceColumns
      + experts.flatMap { layer in balanceColumns.map { "\(layer).\($0)" } }
    return common + "," + columns.joined(separator: ",")
  }

  private static let balanceColumns = [
    "importance_loss", "load_loss", "least_used_expert", "most_used_expert",
  ]

  var csvRow: String {
    let common = [
      "\(epoch)", "\(step)", "\(learningRate)", "\(trainingLoss)",
      validation.loss.map { "\($0)" } ?? "", "\(validation.accuracy)",
      "\(validation.topK.accuracy)", "\(validation.macroF1)", "\(imagesPerSecond)", "\(seconds)",
    ]
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
