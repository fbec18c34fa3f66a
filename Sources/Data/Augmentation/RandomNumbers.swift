import Foundation

/// Random numbers that depend on nothing but their key: any worker that prepares a sample draws the
/// same ones, and no state needs saving.
///
/// Number `i` of a key is SplitMix64's output function of `key + i * odd constant` (Steele, Lea,
/// Flood, "Fast splittable pseudorandom number generators", 2014).
public struct RandomNumbers: RandomNumberGenerator, Hashable, Sendable {
  /// What the numbers are for; each purpose has numbers of its own.
  public enum Purpose: UInt64, Sendable {
    case order, sample, batch, split, masking
  }

  private var state: UInt64

  /// - Parameters:
  ///   - epoch: The pass over the data, from 0.
  ///   - position: The place of the sample or batch within the epoch.
  public init(seed: UInt64, _ purpose: Purpose, epoch: Int = 0, position: Int = 0) {
    state = [purpose.rawValue, UInt64(epoch), UInt64(position)].reduce(mixed(seed)) {
      mixed($0 ^ mixed($1 &+ increment))
    }
  }

  /// The next number, any of 64 bits.
  public mutating func next() -> UInt64 {
    state &+= increment
    return mixed(state)
  }

  /// A number in [0, 1).
  package mutating func uniform() -> Double {
    Double(next() >> 11) * 0x1p-53
  }

  /// A number between `low` and `high`.
  mutating func uniform(_ low: Double, _ high: Double) -> Double {
    low + (high - low) * uniform()
  }

  /// A whole number in 0 ..< `count` (multiply and shift; the bias is below 2^-32 for pictures).
  package mutating func below(_ count: Int) -> Int {
    Int(next().multipliedFullWidth(by: UInt64(count)).high)
  }

  mutating func chance(_ probability: Double) -> Bool {
    probability > 0 && uniform() < probability
  }

  /// A sample of N(0, 1) (Box and Muller).
  package mutating func normal() -> Double {
    let radius = (-2 * log(1 - uniform())).squareRoot()
    return radius * cos(2 * .pi * uniform())
  }

  /// A sample of Beta(`alpha`, `alpha`).
  package mutating func beta(_ alpha: Double) -> Double {
    let x = gamma(alpha), y = gamma(alpha)
    return x + y > 0 ? x / (x + y) : 0.5
  }

  /// A sample of Gamma(`shape`, 1) (Marsaglia and Tsang, 2000).
  private mutating func gamma(_ shape: Double) -> Double {
    if shape < 1 { return gamma(shape + 1) * pow(1 - uniform(), 1 / shape) }
    let d = shape - 1.0 / 3
    let c = 1 / (9 * d).squareRoot()
    while true {
      let x = normal()
      let root = 1 + c * x
      guard root > 0 else { continue }
      let v = root * root * root
      if log(1 - uniform()) < 0.5 * x * x + d - d * v + d * log(v) { return d * v }
    }
  }

  /// The numbers 0 ..< `count` in random order (Fisher and Yates).
  package mutating func permutation(_ count: Int) -> [Int] {
    var order = Array(0..<count)
    order.withUnsafeMutableBufferPointer { order in
      for last in stride(from: count - 1, to: 0, by: -1) { order.swapAt(last, below(last + 1)) }
    }
    return order
  }
}

private let increment: UInt64 = 0x9E37_79B9_7F4A_7C15

private func mixed(_ value: UInt64) -> UInt64 {
  var z = value
  z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
  z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
  return z ^ (z >> 31)
}
