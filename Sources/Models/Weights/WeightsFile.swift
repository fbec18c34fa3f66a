import Checkpoints
import Foundation
import Torch

/// A file of weights, and the registered model that they are of.
struct WeightsFile {
  let path: String
  let archive: any TensorArchive
  let entry: ModelEntry

  /// Whether Mingle wrote the file, for this model: then its metadata tells all about it.
  var isOwn: Bool { archive.metadata[MetadataKey.model] == entry.name }

  /// - Parameters:
  ///   - path: a file, or a run's folder.
  ///   - model: the registered name; needed where the file does not tell it.
  /// - Throws: `MingleError` if there is no such file, or its model is not known.
  init(at path: String, model: String?) throws {
    self.path = try WeightsFile.file(at: path)
    archive = try openTensorArchive(at: self.path)
    guard let name = model ?? archive.metadata[MetadataKey.model] else {
      throw MingleError(
        .usage, "the file does not tell its model", in: self.path,
        next: "name it with --model, one of 'mingle models'")
    }
    if model == nil, !ModelRegistry.entries.contains(where: { $0.name == name }) {
      throw MingleError(
        .badData, "the file is for a model that this Mingle does not know", in: self.path,
        got: "'\(name)'", next: "'mingle models' lists those that it knows")
    }
    entry = try ModelRegistry.entry(name)
  }

  /// The weights of a run: the best, or the last where no best was kept.
  fileprivate static func file(at path: String) throws -> String {
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

extension ModelRegistry {
  /// The model whose weights a file or a run's folder holds.
  ///
  /// - Parameter model: its name, where the file does not tell it.
  /// - Throws: `MingleError` if there is no such file, or its model is not known.
  public static func entry(ofWeightsAt path: String, model: String? = nil) throws -> ModelEntry {
    try WeightsFile(at: path, model: model).entry
  }
}

/// Names of what travels with the weights in a file's metadata.
enum MetadataKey {
  static let model = "mingle.model"
  static let configuration = "mingle.configuration"
  static let preprocessing = "mingle.preprocessing"
  static let labels = "mingle.labels"
  static let tokenizer = "mingle.tokenizer"
  static let reading = "mingle.reading"
  static let scores = "mingle.scores"
  static let provenance = "mingle.provenance"
}

/// A file of weights itself, or that of a run.
package func file(ofWeightsAt path: String) throws -> String { try WeightsFile.file(at: path) }

/// The folder of a file of weights, or of the weights of a run, where what belongs to them lies.
package func folder(ofWeightsAt path: String) throws -> String {
  URL(filePath: try file(ofWeightsAt: path)).deletingLastPathComponent().path
}
