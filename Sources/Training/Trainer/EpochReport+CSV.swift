// The rows of a run's `metrics.csv`.

extension EpochReport {
  static let csvHeader =
    "epoch,step,learning_rate,training_loss,validation_loss,accuracy,top_k_accuracy,macro_f1,"
    + "images_per_second,seconds"

  var csvRow: String {
    [
      "\(epoch)", "\(step)", "\(learningRate)", "\(trainingLoss)",
      validation.loss.map { "\($0)" } ?? "", "\(validation.accuracy)",
      "\(validation.topK.accuracy)", "\(validation.macroF1)", "\(imagesPerSecond)", "\(seconds)",
    ].joined(separator: ",")
  }
}
