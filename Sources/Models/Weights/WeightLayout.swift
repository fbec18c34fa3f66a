import Torch

/// A published way to name and shape a family's weights, with the way to Mingle's own and back.
public struct WeightLayout: Sendable {
  /// "google", "meta".
  public let name: String
  /// Whether a file with these keys is of this layout.
  public let recognizes: @Sendable (Set<String>) -> Bool
  /// One tensor from this layout to Mingle's, or nil for a key it does not know.
  let toOwn: @Sendable (String, Tensor) throws(MingleError) -> (String, Tensor)?
  /// One tensor from Mingle's layout to this, or nil for a key it does not know.
  let fromOwn: @Sendable (String, Tensor) throws(MingleError) -> (String, Tensor)?

  /// Tensors of this layout in Mingle's.
  ///
  /// - Parameter place: where the tensors come from, for the error.
  /// - Throws: `MingleError` for a key that the layout does not know, or of a wrong rank.
  public func imported(
    _ tensors: [String: Tensor], from place: String? = nil
  ) throws -> [String: Tensor] {
    do {
      return try mapped(tensors, toOwn)
    } catch {
      throw MingleError(
        error.kind, error.what, in: place, expected: error.expected, got: error.got)
    }
  }

  /// Tensors of Mingle's layout in this one.
  ///
  /// - Throws: `MingleError` for a key that the layout does not know, or of a wrong rank.
  public func exported(_ tensors: [String: Tensor]) throws -> [String: Tensor] {
    try mapped(tensors, fromOwn)
  }

  private func mapped(
    _ tensors: [String: Tensor], _ map: (String, Tensor) throws(MingleError) -> (String, Tensor)?
  ) throws(MingleError) -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    for (key, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
      guard let (newKey, newTensor) = try map(key, tensor), result[newKey] == nil else {
        throw MingleError(.badData, "the \(name) layout has no key '\(key)'")
      }
      result[newKey] = newTensor
    }
    return result
  }
}
