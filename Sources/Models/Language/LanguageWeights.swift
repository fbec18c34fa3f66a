import Torch

/// How a family's published weights become those of a model.
public struct LanguageWeights: Sendable {
  /// Keys of heads start with one of these.
  let heads: [String]
  /// The tensors by Mingle's keys: without doubles, under their present names.
  var normalized: @Sendable ([String: Tensor]) throws(MingleError) -> [String: Tensor] = { $0 }
  /// The number of tokens that the weights were made for, where they tell.
  let sequenceLength: @Sendable ([String: Tensor]) -> Int?
  /// The key of the embedding [V, C], which is the output matrix as well.
  let embedding: String

  /// Whether the weight `key` belongs to a head, of whatever task.
  func isHead(_ key: String) -> Bool { heads.contains(where: key.hasPrefix) }

  /// Whether a fresh head has the weight `key` drawn anew: the pooler was trained with the encoder, if
  /// it was trained, and is kept.
  func isDrawnAnew(_ key: String) -> Bool { isHead(key) && !key.contains("pooler.") }

  /// Settings that the shapes of foreign weights tell.
  func settings(in tensors: [String: Tensor]) -> [String: String] {
    var settings: [String: String] = [:]
    if let table = tensors[embedding], table.rank == 2 {
      settings["vocabulary"] = "\(table.shape[0])"
    }
    if let length = sequenceLength(tensors) { settings["sequence_length"] = "\(length)" }
    return settings
  }

  /// `tensors` without `copy`, a second name of `original`.
  ///
  /// - Throws: `MingleError` if they differ: such weights are not tied and are another network's.
  static func withoutCopy(
    _ copy: String, of original: String, _ tensors: [String: Tensor]
  ) throws(MingleError) -> [String: Tensor] {
    guard let second = tensors[copy] else { return tensors }
    var tensors = tensors
    tensors[copy] = nil
    guard let first = tensors[original] else {
      tensors[original] = second
      return tensors
    }
    guard first.shape == second.shape, first.equal(second).all().item == 1 else {
      throw MingleError(
        .badData, "'\(copy)' must be the same tensor as '\(original)'",
        next:
          "the model's embedding is its output matrix as well; such weights are another network's")
    }
    return tensors
  }

  /// The weights of families whose heads are ``PlainHeads``.
  static func plain(
    sequenceLength: @escaping @Sendable ([String: Tensor]) -> Int?
  ) -> LanguageWeights {
    LanguageWeights(
      heads: ["output.", "pooler.", "classifier.", "qa_outputs."],
      normalized: { (tensors) throws(MingleError) in
        try withoutCopy("output.weight", of: "embedding.weight", tensors)
      },
      sequenceLength: sequenceLength, embedding: "embedding.weight")
  }
}
