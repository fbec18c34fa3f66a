import CTorch

// The only classes that own libtorch's objects. They are `@unchecked Sendable` because libtorch
// counts references atomically and the pointers never change; concurrent writes to the same tensor's
// memory stay the caller's responsibility, as with any shared buffer.

/// Owns one reference to a libtorch tensor.
final class TensorHandle: @unchecked Sendable {
  let pointer: CTTensor

  init(owning pointer: CTTensor) { self.pointer = pointer }

  deinit { ct_tensor_release(pointer) }
}

/// Owns one libtorch random generator.
final class GeneratorHandle: @unchecked Sendable {
  let pointer: CTGenerator

  init(owning pointer: CTGenerator) { self.pointer = pointer }

  deinit { ct_generator_release(pointer) }
}

/// An operator found in the dispatcher; lives as long as the process.
struct OperatorHandle: @unchecked Sendable {
  let pointer: CTOperator
}
