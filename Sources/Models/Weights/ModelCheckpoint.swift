import Checkpoints
import Foundation
import Layers
import Torch

/// A model for pictures with what one needs to use it: preprocessing, labels, and where it comes from;
/// for text see ``LanguageCheckpoint``.
///
/// Saved as one safetensors file whose metadata holds everything but the weights.
public struct ModelCheckpoint {
  /// The registered name that the configuration started from.
  public let name: String
  public let model: any VisionModel
  public var preprocessing: Preprocessing
  /// One name for each class, or nil where nobody gave them names.
  public var labels: [String]?
  /// How the logits become scores of the classes.
  public var scores = ClassScores.softmax
  /// What made the weights: tool, recipe, data, step, ...
  public var provenance: [String: String]

  public init(
    name: String, model: any VisionModel, preprocessing: Preprocessing, labels: [String]? = nil,
    provenance: [String: String] = [:]
  ) {
    self.name = name
    self.model = model
    self.preprocessing = preprocessing
    self.labels = labels
    self.provenance = provenance
  }

  /// A registered model with first weights drawn from `generator`.
  ///
  /// - Throws: `MingleError` for a name or setting that is not known.
  public static func fresh(
    _ name: String, settings: [String: String] = [:], generator: Generator
  ) throws -> ModelCheckpoint {
    let entry = try ModelRegistry.entry(name)
    let model = try entry.visionModel(settings: settings, generator: generator)
    return ModelCheckpoint(
      name: name, model: model, preprocessing: entry.preprocessing(for: model.configuration))
  }
}

/// How weights are to be read.
public struct LoadOptions {
  /// What becomes of the classifier.
  public enum Head {
    /// The file's head, which must fit the class count.
    case kept
    /// A new head with first weights drawn from the generator; the file's is left out.
    case fresh(Generator)
  }

  /// The registered name; needed where the file does not tell it.
  public var model: String?
  /// Configuration fields to change, by name.
  public var settings: [String: String]
  public var head: Head
  /// What to do with weights of another image size; nil refuses them.
  public var resizeTokens: TokenResizing?

  public init(
    model: String? = nil, settings: [String: String] = [:], head: Head = .kept,
    resizeTokens: TokenResizing? = nil
  ) {
    self.model = model
    self.settings = settings
    self.head = head
    self.resizeTokens = resizeTokens
  }
}

// MARK: - Writing

extension ModelCheckpoint {
  /// Writes one safetensors file; an old one is replaced when the new one is complete.
  ///
  /// - Throws: `MingleError` if the file cannot be written, or the preprocessing does not fit the
  ///   model; nothing is left behind then.
  public func write(to path: String) throws {
    try preprocessing.validate(channels: model.configuration.inputChannels)
    let tensors = Dictionary(uniqueKeysWithValues: model.state.map { ($0.name, $0.tensor) })
    try Safetensors.write(tensors, metadata: metadata(), to: path)
  }

  private func metadata() throws -> [String: String] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    func json(_ value: some Encodable) throws -> String {
      String(decoding: try encoder.encode(value), as: UTF8.self)
    }
    var metadata = [
      "format": "pt",  // what other readers of safetensors expect of [out, in] layouts
      MetadataKey.model: name,
      MetadataKey.configuration: try json(model.configuration),
      MetadataKey.preprocessing: try json(preprocessing),
      MetadataKey.scores: scores.rawValue,
      MetadataKey.provenance: try json(provenance),
    ]
    if let labels { metadata[MetadataKey.labels] = try json(labels) }
    return metadata
  }
}

// MARK: - Reading

extension ModelCheckpoint {
  /// Reads weights in Mingle's, timm's or the family's foreign layouts (safetensors, npz or a
  /// file of PyTorch), or the best weights of a run's folder.
  ///
  /// - Throws: `MingleError` where the file is damaged or does not fit the model, with what was
  ///   expected, what came and what to do next.
  public static func load(
    _ path: String, _ options: LoadOptions = LoadOptions()
  ) throws -> ModelCheckpoint {
    let weights = try WeightsFile(at: path, model: options.model)
    let (file, archive, entry) = (weights.path, weights.archive, weights.entry)
    let name = entry.name
    let type = try entry.visionType()
    var saved: (any VisionConfiguration)?
    if weights.isOwn, let text = archive.metadata[MetadataKey.configuration] {
      saved = try type.savedConfiguration(text, in: file)
    }

    var tensors = try archive.tensors()
    if let layout = type.foreignLayouts.first(where: { $0.recognizes(Set(tensors.keys)) }) {
      tensors = try layout.imported(tensors, from: file)
    }
    tensors = addingCounters(to: tensors)
    let model = try entry.loading(tensors, from: file, saved: saved, options)

    var checkpoint = ModelCheckpoint(
      name: name, model: model, preprocessing: entry.preprocessing(for: model.configuration))
    if weights.isOwn { try checkpoint.restore(archive.metadata, from: file) }
    if case .fresh = options.head {
      checkpoint.labels = nil
      checkpoint.scores = .softmax
    }
    if let labels = checkpoint.labels, labels.count != model.configuration.classes {
      throw MingleError(
        .badData, "the labels do not fit the head", in: file,
        expected: "\(model.configuration.classes)", got: "\(labels.count)")
    }
    return checkpoint
  }

  private mutating func restore(_ metadata: [String: String], from file: String) throws {
    if let text = metadata[MetadataKey.preprocessing] {
      let size = preprocessing.imageSize
      preprocessing = try savedValue(Preprocessing.self, "preprocessing", from: text, in: file) {
        try $0.validate(channels: model.configuration.inputChannels)
      }
      preprocessing.imageSize = size
    }
    labels = try metadata[MetadataKey.labels].map {
      try savedValue([String].self, "labels", from: $0, in: file)
    }
    if let text = metadata[MetadataKey.scores] {
      scores = try savedValue(ClassScores.self, "kind of scores", from: "\"\(text)\"", in: file)
    }
    if let text = metadata[MetadataKey.provenance] {
      provenance = try savedValue([String: String].self, "provenance", from: text, in: file)
    }
  }

  /// `tensors` with the batch norms' counters that PyTorch before 0.4.1 did not save: 0, as there.
  private static func addingCounters(to tensors: [String: Tensor]) -> [String: Tensor] {
    let (mean, counter) = ("running_mean", "num_batches_tracked")
    guard !tensors.keys.contains(where: { $0.hasSuffix(counter) }) else { return tensors }
    let keys = tensors.keys.filter { $0.hasSuffix(mean) }.map { $0.dropLast(mean.count) + counter }
    return tensors.merging(keys.map { (String($0), .zeros([], dtype: .int64)) }) { old, _ in old }
  }
}
