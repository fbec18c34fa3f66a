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
}

extension Recipe {
  /// - Throws: `MingleError` unless the model reads what the task is about, and no key is given that the
  ///   task has no use for.
  func requireFittingTask() throws {
    let entry = try ModelRegistry.entry(model)
    guard entry.input == task.input else {
      throw MingleError(
        .usage, "\(model) reads \(entry.input.rawValue), and the task is '\(task.rawValue)'",
        expected: "a model of 'mingle models --reads \(task.input.rawValue)'", got: model,
        next: task == .images
          ? "pass --task text or --task questions, or use 'mingle pretrain'"
          : "name another model")
    }
    let useless =
      task == .images
      ? [("text", text != nil)]
      : [
        ("loss", loss != .softmax), ("augmentation", augmentation != .none),
        ("crop_fraction", cropFraction != nil), ("resize_tokens", resizeTokens != nil),
        ("skip_broken", skipBroken),
      ]
    if let key = useless.first(where: \.1)?.0 {
      throw MingleError(
        .usage, "the task '\(task.rawValue)' has no use for '\(key)'", in: model,
        next: "leave it out")
    }
  }
}
