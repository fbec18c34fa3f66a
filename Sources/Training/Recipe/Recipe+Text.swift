import Data
import Foundation
import Models
import Torch

extension Recipe {
  /// The tokenizer that the recipe names, or else the one beside the weights.
  ///
  /// - Throws: `MingleError` if there is none, or its file is none.
  func carriedTokenizer() throws -> CarriedTokenizer {
    if let file = text?.tokenizer, !file.isEmpty { return try CarriedTokenizer(at: file) }
    guard let weights else {
      throw MingleError(
        .usage, "a language model needs a tokenizer", in: model,
        next: "pass --tokenizer FILE; 'mingle tokenizer train' makes one")
    }
    return try CarriedTokenizer(at: tokenizerFile(besideWeightsAt: weights))
  }

  /// A language model before its first step.
  ///
  /// - Parameter target: what a model of texts is to give.
  /// - Throws: `MingleError` for a model, a setting or weights that do not fit.
  func initialCheckpoint(
    task: LanguageTask, tokenizer: any Tokenizer, target: TextTarget? = nil
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
    if task == .classes { try require("classes", target?.outputCount ?? 1, "the data's") }
    if let given = settings.updateValue(task.rawValue, forKey: "task"), given != task.rawValue {
      throw MingleError(
        .usage, "the recipe's task is not what is learned", in: model, expected: task.rawValue,
        got: given, next: "leave 'task' out of the settings")
    }
    if try ModelRegistry.entry(model).configuration is BERTConfiguration {
      settings["pad_token"] = settings["pad_token"] ?? "\(tokenizer.special.padding ?? -1)"
    }
    let generator = Generator(seed: seed)
    var checkpoint: LanguageCheckpoint
    if let weights {
      settings["vocabulary"] = nil  // the weights' own, which the tokenizer must fit
      checkpoint = try .load(
        weights,
        LoadOptions(
          model: model, settings: settings, head: task == .masked ? .kept : .fresh(generator)))
      try checkpoint.require(tokenizer)
    } else {
      checkpoint = try .fresh(model, settings: settings, generator: generator)
    }
    checkpoint.labels = if case .classes(let names) = target { names } else { nil }
    checkpoint.reading = TextReading(length: task == .masked ? nil : text?.length)
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
