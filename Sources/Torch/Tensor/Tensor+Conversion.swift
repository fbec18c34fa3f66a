extension Operator {
  static let toDType = Operator("to", "dtype")
  static let toDevice = Operator("to", "device")
  static let detach = Operator("detach")
  static let clone = Operator("clone")
  static let copyInPlace = Operator("copy_")
  static let zeroInPlace = Operator("zero_")
  static let fillInPlace = Operator("fill_", "Scalar")
}

extension Tensor {
  /// Converted to `dtype`; itself if it already has it.
  public func to(_ dtype: DType) -> Tensor { Operator.toDType(self, dtype) }
  /// Copied to `device`; itself if it is already there.
  public func to(_ device: Device) -> Tensor { Operator.toDevice(self, device, dtype) }
  /// The same memory, apart from the graph of gradients.
  public func detached() -> Tensor { Operator.detach(self) }
  /// A copy with memory of its own.
  public func cloned() -> Tensor { Operator.clone(self) }

  /// Overwrites the elements with those of `source`, converted and broadcast.
  @discardableResult
  public func copyInPlace(_ source: Tensor) -> Tensor { Operator.copyInPlace(self, source) }
  @discardableResult
  public func zeroInPlace() -> Tensor { Operator.zeroInPlace(self) }
  @discardableResult
  public func fillInPlace(_ value: Double) -> Tensor { Operator.fillInPlace(self, value) }
}
