import Checkpoints
import Foundation
import Layers
import Torch

/// A model with what one needs to use it: preprocessing, labels, and where it comes from.
///
/// Saved as one safetensors file whose metadata holds everything but the weights.
public struct ModelCheckpoint {
  /// The registered name that the configuration started from.
  public let name: String
  public let model: any VisionModel
  public var preprocessing: Preprocessing
  /// One name for each class, or nil where nobody gave them names.
  public var labels: [String]?
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
  /// - Throws: ``MingleError`` for a name or setting that is not known.
  public static func fresh(
    _ name: String, settings: [String: String] = [:], generator: Generator
  ) throws -> ModelCheckpoint {
    let entry = try ModelRegistry.entry(name)
    let model = try entry.model(settings: settings, generator: generator)
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
  /// - Throws: ``MingleError`` if the file cannot be written; nothing is left behind then.
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
      MetadataKey.preprocessing: try json(preprocessing),
      MetadataKey.provenance: try json(provenance),
    ]
    if let labels { metadata[MetadataKey.labels] = try json(labels) }
    return metadata
  }
}

private enum MetadataKey {
  static let model = "mingle.model"
  static let configuration = "mingle.configuration"
  static let preprocessing = "mingle.preprocessing"
  static let labels = "mingle.labels"
  static let provenance = "mingle.provenance"
}

// MARK: - Reading

extension ModelCheckpoint {
  /// Reads weights in Mingle's, timm's or the family's foreign layouts (safetensors or npz), or the
  /// best weights of a run's folder.
  ///
  /// - Throws: ``MingleError`` where the file is damaged or does not fit the model, with what was
  ///   expected, what came and what to do next.
  public static func load(
    _ path: String, _ options: LoadOptions = LoadOptions()
  ) throws -> ModelCheckpoint {
    let file = try weightsFile(at: path)
    let archive = try openTensorArchive(at: file)
    guard let name = options.model ?? archive.metadata[MetadataKey.model] else {
      throw MingleError(
        .usage, "the file does not tell its model", in: file,
        next: "name it with --model, one of 'mingle models'")
    }
    let entry = try ModelRegistry.entry(name)
    let isOwn = archive.metadata[MetadataKey.model] == name
    let saved = isOwn ? archive.metadata[MetadataKey.configuration].map { Data($0.utf8) } : nil

    var tensors = try archive.tensors()
    if let layout = entry.type.foreignLayouts.first(where: { $0.recognizes(Set(tensors.keys)) }) {
      tensors = try layout.imported(tensors)
    }
    let model = try entry.loading(tensors, from: file, base: saved, options)

    var checkpoint = ModelCheckpoint(
      name: name, model: model, preprocessing: entry.preprocessing(for: model.configuration))
    if isOwn { try checkpoint.restore(archive.metadata, from: file) }
    if case .fresh = options.head { checkpoint.labels = nil }
    if let labels = checkpoint.labels, labels.count != model.configuration.classes {
      throw MingleError(
        .badData, "the labels do not fit the head", in: file,
        expected: "\(model.configuration.classes)", got: "\(labels.count)")
    }
    return checkpoint
  }

  private mutating func restore(_ metadata: [String: String], from file: String) throws {
    func value<Value: Decodable>(_ key: String, as type: Value.Type) throws -> Value? {
      guard let text = metadata[key] else { return nil }
      guard let value = try? JSONDecoder().decode(type, from: Data(text.utf8)) else {
        throw MingleError(.badData, "the metadata '\(key)' cannot be read", in: file)
      }
      return value
    }
    if var saved = try value(MetadataKey.preprocessing, as: Preprocessing.self) {
      saved.imageSize = preprocessing.imageSize
      if saved.mean.count == preprocessing.mean.count { preprocessing = saved }
    }
    labels = try value(MetadataKey.labels, as: [String].self)
    provenance = try value(MetadataKey.provenance, as: [String: String].self) ?? [:]
  }

  /// The weights of a run: the best, or the last where no best was kept.
  private static func weightsFile(at path: String) throws -> String {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue
    else { return path }
    for part in ["best", "last", ""] {
      let folder = try readableFolder(at: part.isEmpty ? path : "\(path)/\(part)")
      let file = "\(folder ?? path)/model.safetensors"
      if FileManager.default.fileExists(atPath: file) { return file }
    }
    throw MingleError(
      .missingInput, "the folder holds no weights", in: path,
      expected: "best/model.safetensors or last/model.safetensors",
      next: "name a run's folder or a weights file")
  }
}

extension ModelEntry {
  /// A model with the weights `tensors`, after what `options` ask for.
  fileprivate func loading(
    _ tensors: [String: Tensor], from file: String, base: Data?, _ options: LoadOptions
  ) throws -> any VisionModel {
    let generator: Generator? =
      if case .fresh(let generator) = options.head { generator } else { nil }
    let model = try self.model(base: base, settings: options.settings, generator: generator)
    var tensors = tensors
    if generator != nil {
      tensors = tensors.filter { !$0.key.hasPrefix("head.") }
      for (key, tensor) in model.state where key.hasPrefix("head.") { tensors[key] = tensor }
    }
    guard let tokens = type.tokenCount(in: tensors), tokens != model.tokenGrid.area else {
      try model.load(tensors, from: file)
      return model
    }

    // The size the weights were made for: what the file tells, else a square grid.
    var oldSettings = options.settings
    oldSettings["image_size"] = nil
    var old = try self.model(base: base, settings: oldSettings, generator: nil)
    if old.tokenGrid.area != tokens {
      let side = Int(Double(tokens).squareRoot())
      let patch = model.configuration.imageSize.height / model.tokenGrid.height
      oldSettings["image_size"] = "\(side * patch)"
      old = try self.model(base: base, settings: oldSettings, generator: nil)
    }
    guard old.tokenGrid.area == tokens, let resizing = options.resizeTokens else {
      throw MingleError(
        .badData,
        "the weights mix \(tokens) tokens (image size \(old.configuration.imageSize)), but image "
          + "size \(model.configuration.imageSize) has \(model.tokenGrid.area)", in: file,
        next: "pass --image-size \(old.configuration.imageSize), or --resize-tokens interpolate")
    }
    switch resizing {
    case .interpolate:
      try model.load(
        type.interpolatingTokens(tensors, from: old.tokenGrid, to: model.tokenGrid), from: file)
      return model
    case .blockDiagonal:
      try old.load(tensors, from: file)
      let (size, oldSize) = (model.configuration.imageSize, old.configuration.imageSize)
      let factor = size.height / oldSize.height
      guard let mixer = old as? Mixer,
        size == ImageSize(oldSize.height * factor, oldSize.width * factor)
      else {
        throw MingleError(
          .usage, "the block-diagonal scheme needs a Mixer and an integer multiple of its size",
          in: file, expected: "a multiple of \(oldSize)", got: "\(family) at \(size)",
          next: "use --resize-tokens interpolate")
      }
      return try mixer.enlarged(by: factor)
    }
  }
}

extension VisionModel {
  /// How many tokens the weights were made for.
  static func tokenCount(in tensors: [String: Tensor]) -> Int? {
    for (key, tensor) in tensors {
      switch tokenAxes(of: key).first {
      case .input(let axis, let leading) where tensor.rank > axis:
        return tensor.shape[axis] - leading
      case .output(let axis) where tensor.rank > axis: return tensor.shape[axis]
      default: continue
      }
    }
    return nil
  }
}
