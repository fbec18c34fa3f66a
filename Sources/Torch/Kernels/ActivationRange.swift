/// The numbers from `low` to `high`, in 255 equal steps of which activations are rounded to 8 bits; those
/// outside become its ends.
public struct ActivationRange: Codable, Hashable, Sendable {
  public let low: Float
  public let high: Float

  public init(low: Float, high: Float) { (self.low, self.high) = (low, high) }

  /// Whether numbers can be rounded to steps of it.
  public var isValid: Bool { step.isFinite && step > 0 }

  var step: Float { (high - low) / 255 }
}

/// The ranges of what the layers of a kernel multiply; nil: each row's, or column's, own as it comes.
package struct ActivationRanges: Hashable, Sendable {
  package var input: ActivationRange?
  /// Of the numbers between two layers.
  package var hidden: ActivationRange?

  package init(input: ActivationRange? = nil, hidden: ActivationRange? = nil) {
    (self.input, self.hidden) = (input, hidden)
  }
}
