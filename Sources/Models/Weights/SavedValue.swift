import Foundation
import Torch

/// A value that `file` holds as JSON text.
///
/// - Parameter check: throws for a value that cannot be.
/// - Throws: `MingleError` (`badData`) naming the file, whatever is wrong with the text.
func savedValue<Value: Decodable>(
  _ type: Value.Type, _ what: String, from text: String, in file: String,
  check: (Value) throws -> Void = { _ in }
) throws -> Value {
  do {
    let value = try JSONDecoder().decode(type, from: Data(text.utf8))
    try check(value)
    return value
  } catch {
    let reason =
      switch error {
      case let error as MingleError: error.description
      case let error as DecodingError: error.reason
      default: "\(error)"
      }
    throw MingleError(
      .badData, "the \(what) saved with the weights cannot be used (\(reason))", in: file,
      next: "the file is damaged, or another version of Mingle wrote it")
  }
}

extension DecodingError {
  /// The field and what is wrong with it.
  fileprivate var reason: String {
    switch self {
    case .keyNotFound(let key, _): "no field '\(key.stringValue)'"
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
      context.codingPath.map { "\($0.stringValue): " }.joined() + context.debugDescription
    @unknown default: "not readable"
    }
  }
}
