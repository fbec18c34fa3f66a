/// Runs `body` with new tensors that have shapes and dtypes but no memory, so that one can ask what a
/// model would be, however large it is.
package func withoutMemory<Result>(_ body: () throws -> Result) rethrows -> Result {
  try Device.$makesNoMemory.withValue(true, operation: body)
}

extension Tensor {
  /// Whether it has shape and dtype alone. Some operators do not know such tensors.
  var isOutline: Bool { device.kind == .meta }

  /// Another of these: its shape alone.
  func outline(_ shape: [Int]) -> Tensor { .empty(shape, dtype: dtype, device: device) }
}

extension Device {
  @TaskLocal fileprivate static var makesNoMemory = false

  /// Where a new tensor lies: here, unless inside ``withoutMemory(_:)``.
  var orMeta: Device { Device.makesNoMemory ? Device(kind: .meta, index: 0) : self }
}
