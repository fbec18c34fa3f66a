import Data
import Layers
import Models
import Torch

/// What a run learns: a model, its data in batches, their loss, and how well the model does. The loop,
/// saving and resuming are ``Trainer``'s; what differs between pictures and text is the task's.
protocol LearningTask {
  associatedtype Item: LearningBatch

  /// The registered name of the model.
  var modelName: String { get }
  /// What is trained.
  var model: any Model { get }
  var data: RunState.DataSummary { get }
  /// What a user should know about the data, a line for each kind.
  var remarks: [String] { get }
  /// What samples and the units of speed are called.
  var words: TaskWords { get }
  /// What made the weights: tool, recipe, data, step, ...
  var provenance: [String: String] { get set }

  /// How many units the model's multiply-adds are for: 1 picture, or the tokens of a full text.
  var unitsPerInput: Int { get }
  var batchesPerEpoch: Int { get }
  /// The batches of an epoch from position `start` on.
  func batches(epoch: Int, from start: Int) -> TaskStream<Item>
  /// The mean loss over the batch's targets.
  ///
  /// - Parameter forward: runs the model's part of the work: under autocast, watching its experts.
  func loss(_ batch: Item, _ forward: (() -> Tensor) -> Tensor) -> Tensor
  /// How the model does on the validation data.
  ///
  /// - Parameters:
  ///   - batchLimit: stops after so many batches; nil takes all.
  ///   - onBroken: told each sample that was left out.
  func evaluate(
    batchLimit: Int?, onBroken: (BrokenSample) throws -> Void
  ) throws -> ValidationReport

  /// Writes the weights, with what one needs to use them, into an empty folder.
  func write(to folder: String) throws
}

extension LearningTask {
  var remarks: [String] { [] }
}

/// Samples ready for a step.
protocol LearningBatch: Sendable {
  /// The batch's place in the epoch.
  var position: Int { get }
  /// The number of targets that the loss is a mean over.
  var targetCount: Int { get }
  /// How much was read: pictures, or tokens.
  var unitCount: Int { get }
  /// Samples that could not be read and were left out.
  var broken: [BrokenSample] { get }
}

/// The batches of an epoch in order.
struct TaskStream<Item> {
  let next: () throws -> Item?
  /// All samples left out so far.
  var broken: () -> [BrokenSample] = { [] }
}

/// Words for a task's progress.
public struct TaskWords: Sendable {
  /// "pictures", "sequences".
  public let samples: String
  /// The unit of speed, as in "images per second"; also in the name of the column of `metrics.csv`.
  public let units: String
  /// One of the units.
  var unit: String { String(units.dropLast()) }

  package static let pictures = TaskWords(samples: "pictures", units: "images")
  package static let sequences = TaskWords(samples: "sequences", units: "tokens")
  package static let texts = TaskWords(samples: "texts", units: "texts")
  package static let windows = TaskWords(samples: "windows of text", units: "windows")
}
