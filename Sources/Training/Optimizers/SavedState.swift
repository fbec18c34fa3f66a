import Torch

/// Checks that `tensors` have exactly the names, shapes and dtypes of `own`.
///
/// - Parameter what: what they are, for the error: "optimizer's state".
/// - Throws: `MingleError` that names the first difference.
func requireFit(
  _ tensors: [String: Tensor], to own: [(name: String, tensor: Tensor)], of what: String
) throws {
  let next = "resume with the model and the recipe that the state was saved with"
  for (name, tensor) in own {
    guard let saved = tensors[name] else {
      throw MingleError(.badData, "the \(what) lacks '\(name)'", next: next)
    }
    guard saved.shape == tensor.shape, saved.dtype == tensor.dtype else {
      throw MingleError(
        .badData, "the \(what) does not fit", in: name,
        expected: "\(tensor.shape) \(tensor.dtype.name)", got: "\(saved.shape) \(saved.dtype.name)",
        next: next)
    }
  }
  let names = Set(own.map(\.name))
  if let unknown = tensors.keys.filter({ !names.contains($0) }).min() {
    throw MingleError(.badData, "the \(what) has an unknown '\(unknown)'", next: next)
  }
}

/// The saved number (int64 scalar) `name` of steps or updates.
///
/// - Throws: `MingleError` unless it is one that a run can reach.
func savedCount(_ tensors: [String: Tensor], _ name: String) throws -> Int {
  let count = tensors[name]?.array(of: Int.self).first ?? -1
  guard (0..<1 << 53).contains(count) else {
    throw MingleError(
      .badData, "not a number of steps", in: name, expected: "0 or more", got: "\(count)")
  }
  return count
}
