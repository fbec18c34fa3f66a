import Checkpoints
import Data
import Foundation
import Models
import Torch

extension Recipe {
  /// The part about text, which a language model needs.
  ///
  /// - Throws: `MingleError` if the recipe has none.
  func requiredText() throws -> TextRecipe {
    if let text, !text.tokenizer.isEmpty { return text }
    throw MingleError(
      .usage, "a language model needs a tokenizer", in: model,
      next: "pass --tokenizer FILE; 'mingle tokenizer train' makes one")
  }

  /// A language model before its first step.
  ///
  /// - Throws: `MingleError` for a model, a setting or weights that do not fit.
  func initialCheckpoint(
    task: LanguageTask, tokenizer: any Tokenizer, classNames: [String] = []
  ) throws -> LanguageCheckpoint {
    var settings = settings
    func require(_ field: String, _ value: Int, _ what: String) throws {
      if let given = settings[field], Int(given) != value {
        throw MingleError(
          .usage, "the recipe's \(field) is not \(what)", in: data, expected: given,
          got: "\(value)", next: "leave '\(field)' out of the settings")
      }
      settings[field] = "\(value)"
    }
    try require("vocabulary", tokenizer.vocabularySize, "the tokenizer's")
    if task == .classes { try require("classes", classNames.count, "the data's") }
    settings["task"] = task.rawValue
    let generator = Generator(seed: seed)
    var checkpoint: LanguageCheckpoint
    if let weights {
      checkpoint = try .load(
        weights,
        LoadOptions(
          model: model, settings: settings, head: task == .masked ? .kept : .fresh(generator)))
      if let known = checkpoint.tokenizer, known != tokenizer.fingerprint {
        throw MingleError(
          .usage, "the tokenizer is not the one that the weights learned", in: weights,
          next: "name the tokenizer's file that lies beside the weights")
      }
    } else {
      checkpoint = try .fresh(model, settings: settings, generator: generator)
    }
    checkpoint.labels = task == .classes ? classNames : nil
    checkpoint.tokenizer = tokenizer.fingerprint
    checkpoint.provenance = try initialProvenance()
    return checkpoint
  }
}

/// The per-user folder for tokenised text.
func defaultTokenCache() -> String {
  let base =
    FileManager.default.urls(for: .cachesDirectory, in: .userDomainMask).first
    ?? FileManager.default.temporaryDirectory
  return base.appending(path: "mingle/tokens").path
}

/// Copies a tokenizer's file into a run's folder, so that weights and vocabulary stay together.
func copyTokenizer(from file: String, to folder: String) throws {
  func copy(_ source: String, to name: String) throws {
    guard let contents = FileManager.default.contents(atPath: source) else {
      throw MingleError(.missingInput, "the tokenizer cannot be read", in: source)
    }
    try writeAtomically(to: "\(folder)/\(name)") { try $0.write(Array(contents)) }
  }
  guard file.hasSuffix(".txt") else { return try copy(file, to: "tokenizer.model") }
  try copy(file, to: "vocab.txt")
  let settings = URL(filePath: file).deletingLastPathComponent()
    .appending(path: "tokenizer_config.json").path
  if FileManager.default.fileExists(atPath: settings) {
    try copy(settings, to: "tokenizer_config.json")
  }
}
