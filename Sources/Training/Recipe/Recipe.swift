import Data
import Layers
import Models
import Torch

/// Everything that decides what a training run does; a run's `config.yaml`.
///
/// The same recipe on the same data gives the same weights.
public struct Recipe: Codable, Hashable, Sendable {
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
    try optimizer.validate()
    try schedule.validate()
  }
}

extension Recipe {
  enum CodingKeys: String, CodingKey, CaseIterable {
    case model, settings, weights, freeze, data, augmentation, epochs, accumulation, optimizer
    case schedule, loss, clip, precision, seed, device, workers
    case resizeTokens = "resize_tokens", holdOut = "hold_out", skipBroken = "skip_broken"
    case cropFraction = "crop_fraction"
    case batchSize = "batch_size", emaDecay = "ema_decay", saveEvery = "save_every"
  }

  /// A key that is not there keeps its default.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    func update<Value: Decodable>(_ value: inout Value, _ key: CodingKeys) throws {
      value = try container.decodeIfPresent(Value.self, forKey: key) ?? value
    }
    func updateOptional<Value: Decodable>(_ value: inout Value?, _ key: CodingKeys) throws {
      if container.contains(key) { value = try container.decodeIfPresent(Value.self, forKey: key) }
    }
    self.init(model: "", data: "")
    try update(&model, .model)
    try update(&settings, .settings)
    try updateOptional(&weights, .weights)
    try updateOptional(&resizeTokens, .resizeTokens)
    try update(&freeze, .freeze)
    try update(&data, .data)
    try update(&holdOut, .holdOut)
    try updateOptional(&cropFraction, .cropFraction)
    try update(&augmentation, .augmentation)
    try update(&skipBroken, .skipBroken)
    try update(&epochs, .epochs)
    try update(&batchSize, .batchSize)
    try update(&accumulation, .accumulation)
    try update(&optimizer, .optimizer)
    try update(&schedule, .schedule)
    try update(&loss, .loss)
    try updateOptional(&clip, .clip)
    try updateOptional(&emaDecay, .emaDecay)
    try update(&precision, .precision)
    try update(&seed, .seed)
    try update(&device, .device)
    try update(&workers, .workers)
    try updateOptional(&saveEvery, .saveEvery)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(model, forKey: .model)
    try container.encode(settings, forKey: .settings)
    try container.encode(weights, forKey: .weights)
    try container.encode(resizeTokens, forKey: .resizeTokens)
    try container.encode(freeze, forKey: .freeze)
    try container.encode(data, forKey: .data)
    try container.encode(holdOut, forKey: .holdOut)
    try container.encode(cropFraction, forKey: .cropFraction)
    try container.encode(augmentation, forKey: .augmentation)
    try container.encode(skipBroken, forKey: .skipBroken)
    try container.encode(epochs, forKey: .epochs)
    try container.encode(batchSize, forKey: .batchSize)
    try container.encode(accumulation, forKey: .accumulation)
    try container.encode(optimizer, forKey: .optimizer)
    try container.encode(schedule, forKey: .schedule)
    try container.encode(loss, forKey: .loss)
    try container.encode(clip, forKey: .clip)
    try container.encode(emaDecay, forKey: .emaDecay)
    try container.encode(precision, forKey: .precision)
    try container.encode(seed, forKey: .seed)
    try container.encode(device, forKey: .device)
    try container.encode(workers, forKey: .workers)
    try container.encode(saveEvery, forKey: .saveEvery)
  }
}
