/// Runs `body` with new tensors that have shapes and dtypes but no memory, so that one can ask what a
/// model would be, however large it is.
package func withoutMemory<Result>(_ body: () throws -> Result) rethrows -> Result {
  try Device.$makesNoMemory.withValue(true, operation: body)
}

extension Device {
  @TaskLocal fileprivate static var makesNoMemory = false

  /// Where a new tensor lies: here, unless inside ``withoutMemory(_:)``.
  var orMeta: Device { Device.makesNoMemory ? Device(kind: .meta, index: 0) : self }
}
