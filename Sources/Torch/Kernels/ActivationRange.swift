import CTorch

/// The numbers from `low` to `high`, in whose equal steps activations are rounded to 8 bits: 255, or 181 where
/// the processor adds products of bytes in 16 bits. Those outside become its ends.
public struct ActivationRange: Codable, Hashable, Sendable {
  public let low: Float
  public let high: Float

  public init(low: Float, high: Float) { (self.low, self.high) = (low, high) }

  /// Whether numbers can be rounded to steps of it.
  public var isValid: Bool {
    let step = (high - low) / Float(Self.stepCount)
    return step.isFinite && step > 0
  }

  /// Of this processor's kernels.
  package static let stepCount = Int(ct_byte_steps())
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
