import CTorch

/// Runs `body` with matrix products in `dtype` (bfloat16 or float16) on `device`, while parameters,
/// reductions and losses stay in float32. nil runs it as it is.
public func withAutocast<Result>(
  _ dtype: DType?, on device: Device, _ body: () throws -> Result
) rethrows -> Result {
  guard let dtype else { return try body() }
  let kind = device.kind.rawValue
  let before = ct_autocast(kind, CTAutocast(enabled: 1, dtype: dtype.rawValue))
  defer {
    _ = ct_autocast(kind, before)
    if before.enabled == 0 { ct_autocast_clear_cache() }
  }
  return try body()
}

/// The type of matrix products under this thread's ``withAutocast(_:on:_:)``; nil outside.
package func autocastDType(on device: Device) -> DType? {
  DType(rawValue: ct_autocast_dtype(device.kind.rawValue))
}

/// Runs `body` without autocast on `device`, also inside ``withAutocast(_:on:_:)``.
public func withoutAutocast<Result>(
  on device: Device, _ body: () throws -> Result
) rethrows -> Result {
  let kind = device.kind.rawValue
  let before = ct_autocast(kind, CTAutocast(enabled: 0, dtype: DType.bfloat16.rawValue))
  defer { _ = ct_autocast(kind, before) }
  return try body()
}
