import CTorch

// Memory in and out. Raw pointers live only inside closures.

extension Tensor {
  /// A tensor of `values` in row-major order (copied).
  public init<Element: TensorElement>(_ values: [Element], shape: [Int]) {
    self = values.withUnsafeBytes { bytes in
      Tensor(copying: bytes, shape: shape, dtype: Element.dtype)
    }
  }

  /// A vector of `values`.
  public init<Element: TensorElement>(_ values: [Element]) {
    self.init(values, shape: [values.count])
  }

  /// A tensor of row-major `bytes` in the machine's byte order (copied).
  public init(copying bytes: UnsafeRawBufferPointer, shape: [Int], dtype: DType) {
    self = .empty(shape, dtype: dtype)
    precondition(
      bytes.count == byteCount,
      "\(bytes.count) bytes for a tensor of shape \(shape) and \(dtype.name)")
    withUnsafeMutableBytes { $0.copyMemory(from: bytes) }
  }

  /// A tensor over row-major memory that it does not own (no copy); `owner` is kept until the last
  /// reference to that memory is gone.
  public init(
    borrowing memory: UnsafeMutableRawPointer, shape: [Int], dtype: DType,
    owner: AnyObject & Sendable
  ) {
    var result: CTTensor?
    let context = Unmanaged.passRetained(owner).toOpaque()
    let status = shape.withSizes { sizes, rank in
      ct_tensor_borrow(
        memory, sizes, rank, dtype.rawValue,
        { Unmanaged<AnyObject>.fromOpaque($0!).release() }, context, &result)
    }
    Engine.check(status, "borrow memory as \(shape) \(dtype.name)")
    self = Tensor(owned: result, by: "borrow").forgotten()
  }

  /// Uninitialised memory.
  public static func empty(
    _ shape: [Int], dtype: DType = .float32, device: Device = .cpu
  ) -> Tensor {
    var result: CTTensor?
    let status = shape.withSizes { sizes, rank in
      ct_tensor_empty(sizes, rank, dtype.rawValue, device.orMeta.code, &result)
    }
    Engine.check(status, "allocate \(shape) \(dtype.name) on \(device)")
    return Tensor(owned: result, by: "empty").forgotten()
  }

  /// The bytes in row-major order, on the CPU; a view or a device's tensor is copied first.
  public func withUnsafeBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    OperatorRecording.current?.read(self)
    let source = device == .cpu && isContiguous ? self : self.detached().to(.cpu).contiguous()
    return try withExtendedLifetime(source) {
      try body(UnsafeRawBufferPointer(start: ct_tensor_data(source.pointer), count: byteCount))
    }
  }

  /// The bytes for writing; the tensor must be contiguous and on the CPU.
  public func withUnsafeMutableBytes<Result>(
    _ body: (UnsafeMutableRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    OperatorRecording.current?.read(self)
    precondition(device == .cpu && isContiguous, "writing into \(self) needs contiguous CPU memory")
    return try withExtendedLifetime(self) {
      defer { ct_tensor_touch(pointer) }
      return try body(
        UnsafeMutableRawBufferPointer(start: ct_tensor_data(pointer), count: byteCount))
    }
  }

  /// The elements in row-major order, converted to `Element` when the dtype is another.
  public func array<Element: TensorElement>(of type: Element.Type) -> [Element] {
    let source = dtype == Element.dtype ? self : to(Element.dtype)
    return source.withUnsafeBytes { Array($0.bindMemory(to: Element.self)) }
  }

  /// The only element, as a number.
  public var item: Double {
    OperatorRecording.current?.read(self)
    var value = 0.0
    Engine.check(ct_tensor_real(pointer, &value), "item of \(self)")
    return value
  }

  /// Itself, which no operator made.
  private func forgotten() -> Tensor {
    OperatorRecording.current?.forget(self)
    return self
  }

  init(owned pointer: CTTensor?, by operation: @autoclosure () -> String) {
    guard let pointer else { Engine.fail("\(operation()) gave no tensor") }
    self.init(owning: pointer)
  }
}

extension [Int] {
  /// The sizes as C wants them.
  func withSizes<Result>(_ body: (UnsafePointer<Int64>?, Int32) -> Result) -> Result {
    withUnsafeBufferPointer { buffer in
      buffer.withMemoryRebound(to: Int64.self) { body($0.baseAddress, Int32(count)) }
    }
  }
}
