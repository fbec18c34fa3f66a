import CTorch

/// A stream of random numbers with a seed and a state that can be saved.
///
/// The same seed gives the same numbers. Not for use from two threads at once.
public struct Generator: Sendable {
  let handle: GeneratorHandle

  public init(seed: UInt64, device: Device = .cpu) {
    var pointer: CTGenerator?
    let status = ct_generator(device.code, seed, &pointer)
    guard status == 0, let pointer else {
      Engine.fail("a generator on \(device): \(Engine.lastError)")
    }
    handle = GeneratorHandle(owning: pointer)
  }

  /// The whole state as bytes (uint8 vector on the CPU).
  public var state: Tensor {
    var result: CTTensor?
    Engine.check(ct_generator_state(handle.pointer, &result), "a generator's state")
    return Tensor(owned: result, by: "a generator's state")
  }

  /// Continues where `state` was taken.
  ///
  /// - Throws: ``MingleError`` if the bytes are no state of such a generator.
  public func restore(_ state: Tensor) throws {
    guard state.dtype == .uint8, ct_generator_set_state(handle.pointer, state.pointer) == 0 else {
      throw MingleError(
        .badData, "not a random generator's state", got: "\(state)",
        next: "the file comes from another version of libtorch or is damaged")
    }
  }
}

extension Generator {
  /// Runs `body` with the numbers that followed `state`, one of this generator's; afterwards it goes on
  /// where it was.
  package func repeating<Result>(from state: Tensor, _ body: () throws -> Result) rethrows -> Result
  {
    let now = self.state
    func set(_ state: Tensor) {
      Engine.check(ct_generator_set_state(handle.pointer, state.pointer), "a generator's state")
    }
    set(state)
    defer { set(now) }
    return try body()
  }
}

extension Generator: CustomStringConvertible {
  public var description: String { "generator" }
}
