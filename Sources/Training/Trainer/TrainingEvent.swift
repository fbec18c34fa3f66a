import Data
import Torch

/// What a run tells while it goes on.
public enum TrainingEvent: Sendable {
  case started(TrainingPlan)
  /// A step of the optimizer is done.
  case step(StepReport)
  /// An epoch is over and the model evaluated on the validation data.
  case epoch(EpochReport)
  /// The run's state is on the disk.
  case saved(folder: String)
  /// A sample that was left out because it cannot be read.
  case skipped(BrokenSample)
}

/// What the one who listens wants.
public enum TrainingAction: Sendable {
  case proceed
  /// Save, and end the run; it can be resumed.
  case stop
}

/// What a run is going to do.
public struct TrainingPlan: Sendable {
  public let model: String
  public let parameterCount: Int
  public let trainingSamples: Int
  public let validationSamples: Int
  /// 0 where the task has no classes.
  public let classCount: Int
  public let words: TaskWords
  /// What there is to know about the data, a line for each kind: "2 texts longer than 128 tokens, cut".
  public let remarks: [String]
  public let epochs: Int
  public let stepsPerEpoch: Int
  /// Steps that a run that is resumed has already done.
  public let stepsDone: Int
}

/// One step of the optimizer.
public struct StepReport: Codable, Sendable {
  /// Counted from 1.
  public let step: Int
  public let totalSteps: Int
  /// Counted from 1.
  public let epoch: Int
  /// Of the task; what is minimised has the experts' balance loss besides.
  public let loss: Double
  public let learningRate: Double
  /// Of all gradients, before clipping.
  public let gradientNorm: Double
  /// Pictures, or tokens of text, since the epoch began or the run was resumed.
  public let unitsPerSecond: Double
  /// To the end of the run, at this rate.
  public let secondsLeft: Double
  /// Of the step's samples; nil for a model without experts.
  public let experts: ExpertUse?
}

/// One epoch.
public struct EpochReport: Codable, Sendable {
  /// Counted from 1.
  public let epoch: Int
  public let step: Int
  /// The mean over the epoch's targets.
  public let trainingLoss: Double
  public let validation: ValidationReport
  public let learningRate: Double
  /// Pictures, or tokens of text.
  public let unitsPerSecond: Double
  /// Since the run began, without the pauses between resumptions.
  public let seconds: Double
  /// Whether no earlier epoch was as good.
  public let isBest: Bool
  /// The mean over the epoch's samples in training; nil for a model without experts.
  public let experts: ExpertUse?
}

/// How a run ended.
public struct TrainingResult: Sendable {
  /// Whether it was told to stop before its end.
  public let wasStopped: Bool
  public let best: EpochReport?
  public let last: EpochReport?
  /// Samples that were left out.
  public let skipped: Int
  public let seconds: Double
}
