import Foundation
import Mingle

/// Shows a run on standard error: one line that is rewritten on a terminal, else plain lines.
final class TrainingProgress {
  private let line = ProgressLine()
  private let clock = ContinuousClock()
  private var plan: TrainingPlan?
  private var lastPlainLine = ContinuousClock.now

  /// Shows `event`; asks to stop after Ctrl-C.
  func show(_ event: TrainingEvent) -> TrainingAction {
    switch event {
    case .started(let plan):
      self.plan = plan
      note(
        "\(plan.model): \(grouped(plan.parameterCount)) parameters, "
          + "\(grouped(plan.trainingSamples)) training and \(grouped(plan.validationSamples)) "
          + "validation \(plan.words.samples), "
          + (plan.classCount > 0 ? "\(plan.classCount) classes, " : "")
          + "\(plan.epochs) epochs of \(plan.stepsPerEpoch) steps"
          + (plan.stepsDone > 0 ? ", \(plan.stepsDone) steps done" : ""))
      for remark in plan.remarks { note(remark) }
    case .step(let report): show(report)
    case .epoch(let report): show(report)
    case .saved: break
    case .skipped(let sample): note("skipped: \(sample.error)")
    }
    return Interruption.isWanted ? .stop : .proceed
  }

  private func show(_ report: StepReport) {
    let text =
      "epoch \(report.epoch)/\(plan?.epochs ?? 0)  step \(report.step)/\(report.totalSteps)  "
      + "loss \(decimal(report.loss, 4))  rate \(String(format: "%.2e", report.learningRate))  "
      + shares(report.experts)
      + "\(speed(report.unitsPerSecond))  \(duration(report.secondsLeft)) left"
    line.show(text)
    if !Console.isInteractive, clock.now - lastPlainLine >= .seconds(15) { note(text) }
  }

  private func show(_ report: EpochReport) {
    note(
      "epoch \(report.epoch)/\(plan?.epochs ?? 0)  training loss \(decimal(report.trainingLoss, 4))"
        + "  validation loss \(report.validation.loss.map { decimal($0, 4) } ?? "-")"
        + "  \(headline(of: report.validation))"
        + (report.isBest ? "  best" : "      ")
        + "  \(shares(report.experts))\(speed(report.unitsPerSecond))"
        + "  \(duration(report.seconds))")
  }

  /// "940 images/s"
  private func speed(_ unitsPerSecond: Double) -> String {
    "\(decimal(unitsPerSecond, 0)) \(plan?.words.units ?? "")/s"
  }

  /// "experts 2.1 to 40.3 %  ": the shares of the least and the most used; nothing without experts.
  private func shares(_ experts: ExpertUse?) -> String {
    guard let experts else { return "" }
    return "experts \(decimal(100 * experts.leastUsed, 1)) to "
      + "\(decimal(100 * experts.mostUsed, 1)) %  "
  }

  /// A line that stays.
  private func note(_ text: String) {
    line.clear()
    lastPlainLine = clock.now
    Console.note(text)
  }
}

/// "7 s", "3 min 20 s", "2 h 5 min".
func duration(_ seconds: Double) -> String {
  let whole = Int(seconds.rounded())
  if whole < 60 { return "\(whole) s" }
  if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
  return "\(whole / 3600) h \(whole % 3600 / 60) min"
}

/// "accuracy 97.50 %", "perplexity 23.41", "F1 88.50"
func headline(of report: ValidationReport) -> String {
  let (name, value) = report.headline
  return switch name {
  case "accuracy": "\(name) \(percent(value))"
  case "spearman": "\(name) \(decimal(value, 3))"
  case "f1": "F1 \(decimal(value, 2))"
  default: "\(name) \(decimal(value, 2))"
  }
}

/// "97.5 %"
func percent(_ share: Double) -> String { "\(decimal(share * 100, 2)) %" }
