import Checkpoints
import Foundation
import Layers
import Torch

/// A model for text with what one needs to use it: labels, and where it comes from.
///
/// Saved as one safetensors file whose metadata holds everything but the weights. The tokenizer's
/// vocabulary is a file of its own; its fingerprint says whether it is the right one.
public struct LanguageCheckpoint {
  /// The registered name that the configuration started from.
  public let name: String
  public let model: any LanguageModel
  /// One name for each class, or nil where nobody gave them names.
  public var labels: [String]?
  /// The fingerprint of the tokenizer whose tokens the model learned; nil where the file does not tell.
  public var tokenizer: String?
  /// How texts become the model's input, and its output answers.
  public var reading: TextReading
  /// What made the weights: tool, recipe, data, step, ...
  public var provenance: [String: String]

  public init(
    name: String, model: any LanguageModel, labels: [String]? = nil, tokenizer: String? = nil,
    reading: TextReading = TextReading(), provenance: [String: String] = [:]
  ) {
    self.name = name
    self.model = model
    self.labels = labels
    self.tokenizer = tokenizer
    self.reading = reading
    self.provenance = provenance
  }

  /// The most tokens of a text: the reading's, or else the model's `S`.
  public var textLength: Int {
    let longest = model.configuration.sequenceLength
    return min(reading.length ?? longest, longest)
  }

  /// A registered model with first weights drawn from `generator`.
  ///
  /// - Throws: `MingleError` for a name or setting that is not known.
  public static func fresh(
    _ name: String, settings: [String: String] = [:], generator: Generator
  ) throws -> LanguageCheckpoint {
    let model = try ModelRegistry.entry(name).languageModel(
      settings: settings, generator: generator)
    return LanguageCheckpoint(name: name, model: model)
  }

  /// Writes one safetensors file; an old one is replaced when the new one is complete.
  ///
  /// - Throws: `MingleError` if the file cannot be written; nothing is left behind then.
  public func write(to path: String) throws {
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
      MetadataKey.reading: try json(reading),
      MetadataKey.provenance: try json(provenance),
    ]
    if let labels { metadata[MetadataKey.labels] = try json(labels) }
    if let tokenizer { metadata[MetadataKey.tokenizer] = tokenizer }
    return metadata
  }
}

// MARK: - Reading

extension LanguageCheckpoint {
  /// Reads weights in Mingle's or Hugging Face's layout (safetensors or a file of PyTorch), or the best
  /// weights of a run's folder.
  ///
  /// Of weights that Mingle did not write, vocabulary and sequence length are those of their tensors
  /// unless the settings name others. Tensors of heads that the task does not need are left out.
  ///
  /// - Throws: `MingleError` where the file is damaged or does not fit the model, with what was
  ///   expected, what came and what to do next.
  public static func load(
    _ path: String, _ options: LoadOptions = LoadOptions()
  ) throws -> LanguageCheckpoint {
    let weights = try WeightsFile(at: path, model: options.model)
    let (file, archive, entry) = (weights.path, weights.archive, weights.entry)
    let name = entry.name
    let type = try entry.languageType()
    guard options.resizeTokens == nil else {
      throw MingleError(
        .usage, "tokens of text are not resized", in: name,
        next: "leave out --resize-tokens: a model reads texts shorter than its own as it is")
    }
    var saved: (any LanguageConfiguration)?
    if weights.isOwn, let text = archive.metadata[MetadataKey.configuration] {
      saved = try type.savedConfiguration(text, in: file)
    }
    let model = try entry.loading(archive.tensors(), from: file, saved: saved, options)

    var checkpoint = LanguageCheckpoint(name: name, model: model)
    if weights.isOwn { try checkpoint.restore(archive.metadata, from: file) }
    if case .fresh = options.head { checkpoint.labels = nil }
    let classes = model.configuration.classes
    if model.configuration.task == .classes, let labels = checkpoint.labels, labels.count != classes
    {
      throw MingleError(
        .badData, "the labels do not fit the head", in: file, expected: "\(classes)",
        got: "\(labels.count)")
    }
    return checkpoint
  }

  private mutating func restore(_ metadata: [String: String], from file: String) throws {
    labels = try metadata[MetadataKey.labels].map {
      try savedValue([String].self, "labels", from: $0, in: file)
    }
    tokenizer = metadata[MetadataKey.tokenizer]
    if let text = metadata[MetadataKey.reading] {
      reading = try savedValue(TextReading.self, "reading", from: text, in: file) {
        try requireField("length", $0.length ?? 4, in: 4...65_536)
      }
    }
    if let text = metadata[MetadataKey.provenance] {
      provenance = try savedValue([String: String].self, "provenance", from: text, in: file)
    }
  }
}

extension ModelEntry {
  /// A model for text with the weights `tensors` of `file`, after what `options` ask for.
  ///
  /// - Parameter saved: the configuration that the file tells, if it does.
  fileprivate func loading(
    _ tensors: [String: Tensor], from file: String, saved: (any LanguageConfiguration)?,
    _ options: LoadOptions
  ) throws -> any LanguageModel {
    let weights = try languageType().weights
    let tensors = try normalized(tensors, from: file)
    let base: any ModelConfiguration = saved ?? configuration
    var settings = options.settings
    if saved == nil { settings.merge(weights.settings(in: tensors)) { asked, _ in asked } }

    var generator: Generator?
    if case .fresh(let given) = options.head { generator = given }
    let outline = try languageOutline(base, settings: settings)
    let names = Set(outline.state.map(\.name))
    let isFresh = generator != nil
    let kept = tensors.filter { key, _ in
      isFresh && weights.isDrawnAnew(key) ? false : names.contains(key) || !weights.isHead(key)
    }
    var report = outline.report(on: kept)
    if isFresh { report.missing.removeAll(where: weights.isHead) }
    guard report.fits else {
      throw report.error(
        in: file,
        next: "check the model's name, its settings (vocabulary, sequence_length, ...) and its task"
      )
    }
    let model = try languageModel(base, settings: settings, generator: generator)
    try model.load(model.filled(from: kept, freshHead: isFresh), from: file)
    return model
  }

  private func normalized(
    _ tensors: [String: Tensor], from file: String
  ) throws -> [String: Tensor] {
    do {
      return try languageType().weights.normalized(tensors)
    } catch let error as MingleError {
      throw MingleError(
        error.kind, error.what, in: file, expected: error.expected, got: error.got,
        next: error.next)
    }
  }
}
