import Models
import Torch

/// What a network is trained to do.
public enum TrainingTask: String, Codable, Sendable, CaseIterable {
  /// To tell the class of a picture.
  case images
  /// Masked language modelling: to find tokens behind masks.
  case mlm
  /// To tell the class of a text, or of a pair of texts; or a number, as their similarity.
  case text
  /// To find the answers to questions in a text (SQuAD).
  case questions

  /// What models for it read.
  var input: ModelInput { self == .images ? .pictures : .text }

  /// - Throws: `MingleError` unless the model of that name reads what the task is about.
  func require(_ model: String) throws {
    let entry = try ModelRegistry.entry(model)
    guard entry.input != input else { return }
    throw MingleError(
      .usage, "\(model) reads \(entry.input.rawValue), which the task does not have",
      expected: "a model of 'mingle models --reads \(input.rawValue)'",
      got: "the task '\(rawValue)'",
      next: self == .images
        ? "pass --task text or --task questions, or use 'mingle pretrain'"
        : "name another model")
  }
}
