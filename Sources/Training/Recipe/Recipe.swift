import Data
import Layers
import Models
import Torch

/// Everything that decides what a training run does; a run's `config.yaml`.
///
/// The same recipe on the same data gives the same weights.
public struct Recipe: Codable, Hashable, Sendable {
  public var task = TrainingTask.images
  /// A registered model's name.
  public var model: String
  /// Configuration fields of the model to change, by name; `classes` is the data's unless given.
  public var settings: [String: String] = [:]
  /// Weights to start from, with a new head; nil: from scratch.
  public var weights: String?
  /// What to do with weights of another image size; nil refuses them.
  public var resizeTokens: TokenResizing?
  /// Parameters that are not trained, by the beginnings of their keys.
  public var freeze: [String] = []

  /// The training data, in any form that `openDataset` knows.
  public var data: String
  /// The share of each class kept for validation where the data have no such part.
  public var holdOut = 0.2
  /// The cropped part of the resized picture's shorter side; nil: as the initial weights want it, and
  /// all of it for training from scratch.
  public var cropFraction: Double?
  public var augmentation = Augmentation.none
  /// Leaves out pictures that cannot be read, instead of stopping.
  public var skipBroken = false
  /// For language models; nil for pictures.
  public var text: TextRecipe?

  public var epochs = 10
  public var batchSize = 64
  /// Batches whose gradients are summed for one step.
  public var accumulation = 1
  public var optimizer = OptimizerConfiguration.adamW
  public var schedule = Schedule(.cosine, learningRate: 1e-3).with { $0.warmup = .share(0.05) }
  public var loss = Loss.softmax
  /// The largest norm of the gradient over all parameters; nil: no limit.
  public var clip: Double? = 1
  /// The decay of the averaged weights, which are then the ones evaluated and kept; nil: none.
  public var emaDecay: Double?
  public var precision = Precision.float32
  /// Keeps only the inputs of the model's blocks for the backward pass, which computes each block again:
  /// less memory, more time, the same result.
  public var activationCheckpointing = false
  public var seed: UInt64 = 0

  /// "cpu", "cuda", "mps".
  public var device = "cpu"
  /// Threads that prepare batches; they do not change the result.
  public var workers = 2
  /// Steps between saves besides the one after each epoch; nil: none.
  public var saveEvery: Int?

  public init(model: String, data: String) {
    self.model = model
    self.data = data
  }

  /// - Throws: `MingleError` naming the field whose value cannot be.
  public func validate() throws {
    func check(_ field: String, _ value: Int, _ range: ClosedRange<Int>) throws {
      guard range.contains(value) else {
        throw MingleError(
          .usage, "\(field) is out of range",
          expected: "\(range.lowerBound) to \(range.upperBound)", got: "\(value)")
      }
    }
    try check("epochs", epochs, 1...1_000_000)
    try check("batch_size", batchSize, 1...1 << 20)
    try check("accumulation", accumulation, 1...1 << 20)
    try check("workers", workers, 1...256)
    try check("save_every", saveEvery ?? 1, 1...Int(Int32.max))
    try requireSetting("hold_out", holdOut, "above 0, below 1") { 0 < $0 && $0 < 1 }
    try requireSetting("crop_fraction", cropFraction ?? 1, "above 0, at most 1") {
      0 < $0 && $0 <= 1
    }
    try requireSetting("clip", clip ?? 1, "above 0") { 0 < $0 }
    try requireSetting("ema_decay", emaDecay ?? 0, "0 up to 1") { 0 <= $0 && $0 < 1 }
    try augmentation.validate()
    try text?.validate()
    try optimizer.validate()
    try schedule.validate()
  }
}

extension Recipe {
  /// The keys of a recipe, in the order of `config.yaml`.
  static var fields: [Field<Recipe>] {
    [
      Field("task", \.task), Field("model", \.model), Field("settings", \.settings),
      Field("weights", \.weights),
      Field("resize_tokens", \.resizeTokens), Field("freeze", \.freeze), Field("data", \.data),
      Field("hold_out", \.holdOut), Field("crop_fraction", \.cropFraction),
      Field("augmentation", \.augmentation), Field("skip_broken", \.skipBroken),
      Field("text", \.text),
      Field("epochs", \.epochs), Field("batch_size", \.batchSize),
      Field("accumulation", \.accumulation), Field("optimizer", \.optimizer),
      Field("schedule", \.schedule), Field("loss", \.loss), Field("clip", \.clip),
      Field("ema_decay", \.emaDecay), Field("precision", \.precision),
      Field("activation_checkpointing", \.activationCheckpointing), Field("seed", \.seed),
      Field("device", \.device), Field("workers", \.workers), Field("save_every", \.saveEvery),
    ]
  }

  /// A key that is not there keeps its default.
  public init(from decoder: any Decoder) throws {
    self.init(model: "", data: "")
    try Self.fields.read(into: &self, from: decoder)
  }

  public func encode(to encoder: any Encoder) throws { try Self.fields.write(self, to: encoder) }
}
