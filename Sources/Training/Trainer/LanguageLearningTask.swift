import Checkpoints
import Data
import Foundation
import Models
import Torch

/// A task for language models.
protocol LanguageLearningTask: LearningTask {
  var checkpoint: LanguageCheckpoint { get set }
  /// The tokenizer that lies beside the weights.
  var carried: CarriedTokenizer { get }
}

extension LanguageLearningTask {
  var modelName: String { checkpoint.name }
  var model: any Model { checkpoint.model }
  var provenance: [String: String] {
    get { checkpoint.provenance }
    set { checkpoint.provenance = newValue }
  }

  func write(to folder: String) throws {
    try checkpoint.write(to: "\(folder)/model.safetensors")
    try carried.write(to: folder)
  }
}

/// The remarks about all parts of the data; those about a file that was split into parts come once.
func withoutRepetitions(_ parts: [(file: [String], own: [String])]) -> [String] {
  var seen: Set<String> = []
  return parts.flatMap { part in part.file.filter { seen.insert($0).inserted } + part.own }
}

/// What a run had saved.
struct SavedLanguageModel {
  let checkpoint: LanguageCheckpoint
  let carried: CarriedTokenizer

  /// - Parameter weights: the file, with the tokenizer beside it.
  init(_ weights: String) throws {
    checkpoint = try .load(weights)
    carried = try CarriedTokenizer(at: tokenizerFile(besideWeightsAt: weights))
  }
}

/// A tokenizer with its files, which lie wherever the weights lie.
struct CarriedTokenizer {
  let tokenizer: any Tokenizer
  private var files: [(name: String, contents: [UInt8])] = []

  /// - Throws: `MingleError` if there is no tokenizer at `path`.
  init(at path: String) throws {
    tokenizer = try openTokenizer(at: path)
    let isVocabulary = tokenizer is WordPieceTokenizer
    try carry(path, as: isVocabulary ? "vocab.txt" : "tokenizer.model")
    let settings = URL(filePath: path).deletingLastPathComponent()
      .appending(path: "tokenizer_config.json").path
    if isVocabulary, FileManager.default.fileExists(atPath: settings) {
      try carry(settings, as: "tokenizer_config.json")
    }
  }

  private mutating func carry(_ path: String, as name: String) throws {
    guard let contents = FileManager.default.contents(atPath: path) else {
      throw MingleError(.missingInput, "the tokenizer cannot be read", in: path)
    }
    files.append((name, Array(contents)))
  }

  func write(to folder: String) throws {
    for file in files {
      try writeAtomically(to: "\(folder)/\(file.name)") { try $0.write(file.contents) }
    }
  }
}

extension Recipe {
  /// How batches are formed in training, and in validation.
  func loaderOptions(
    for rehearsal: Trainer.Rehearsal?
  ) -> (training: LoaderOptions, validation: LoaderOptions) {
    var training = LoaderOptions.training(batchSize: batchSize, seed: seed, workers: workers)
    training.dropsLast = false
    training.skipsBroken = skipBroken
    var validation = training
    validation.isShuffled = false
    if case .overfit = rehearsal { training.isShuffled = false }
    return (training, validation)
  }
}
