import CTorch

/// One of libtorch's operators, looked up once and called through the dispatcher.
///
/// ```swift
/// extension Operator { static let linear = Operator("linear") }
/// let y = Operator.linear(x, weight, bias)        // positional; trailing defaults are left out
/// ```
package struct Operator: Sendable {
  package let name: String
  private let handle: OperatorHandle

  /// - Parameters:
  ///   - name: without its namespace for ATen's own ("linear"), else with it ("mkldnn::_linear").
  ///   - overload: "Tensor", "dim_IntList", ... or nothing.
  package init(_ name: String, _ overload: String = "") {
    Engine.start
    let qualified = name.contains("::") ? name : "aten::" + name
    self.name = overload.isEmpty ? qualified : qualified + "." + overload
    var pointer: CTOperator?
    let status = ct_operator(qualified, overload, &pointer)
    guard status == 0, let pointer else {
      Engine.fail("libtorch \(Engine.version) has no operator \(self.name): \(Engine.lastError)")
    }
    handle = OperatorHandle(pointer: pointer)
  }

  /// Whether libtorch has such an operator on this platform.
  package static func exists(_ name: String) -> Bool { ct_has_operator(name, "") != 0 }

  /// The operator's only result.
  @discardableResult
  package func callAsFunction(_ arguments: (any OperatorArgument)?...) -> Tensor {
    guard let result = call(arguments).first ?? nil else { Engine.fail("\(name) gave no tensor") }
    return result
  }

  /// All results in order; lists are flattened.
  package func all(_ arguments: (any OperatorArgument)?...) -> [Tensor] {
    call(arguments).map { result in
      guard let result else { Engine.fail("\(name) gave an undefined tensor") }
      return result
    }
  }

  /// Calls an operator that returns nothing.
  package func run(_ arguments: (any OperatorArgument)?...) { _ = call(arguments) }

  /// All results in order, nil for undefined ones; lists are flattened.
  package func call(_ arguments: [(any OperatorArgument)?]) -> [Tensor?] {
    var list = ArgumentList(capacity: arguments.count)
    defer { list.free() }
    for argument in arguments {
      if let argument { argument.append(to: &list) } else { list.append(CT_NONE) }
    }
    var results: UnsafeMutablePointer<CTTensor?>?
    var count: Int32 = 0
    let status = withExtendedLifetime(arguments) {
      ct_call(handle.pointer, list.values, Int32(list.values.count), &results, &count)
    }
    if status != 0 { Engine.fail("\(name): \(Engine.lastError) (\(describe(arguments)))") }
    let tensors = (0..<Int(count)).map { index in results?[index].map(Tensor.init(owning:)) }
    OperatorRecording.current?.add(.library(self), arguments, tensors)
    return tensors
  }

  private func describe(_ arguments: [(any OperatorArgument)?]) -> String {
    arguments.map { $0.map { "\($0)" } ?? "none" }.joined(separator: ", ")
  }
}

/// What an operator takes: tensors and lists of them, numbers, sizes, names.
package protocol OperatorArgument: Sendable {
  func append(to list: inout ArgumentList)
}

/// The C form of a call's arguments; owns the memory of lists until `free()`.
package struct ArgumentList {
  var values: [CTValue] = []
  private var owned: [UnsafeMutableRawPointer] = []

  init(capacity: Int) { values.reserveCapacity(capacity) }

  mutating func append(
    _ kind: CTKind, count: Int = 0, integer: Int = 0, real: Double = 0,
    pointer: UnsafeRawPointer? = nil
  ) {
    values.append(
      CTValue(
        kind: kind, count: Int32(count), integer: Int64(integer), real: real, pointer: pointer))
  }

  mutating func append<Element: BitwiseCopyable>(_ kind: CTKind, list: [Element]) {
    let size = max(1, list.count * MemoryLayout<Element>.stride)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
    list.withUnsafeBytes { bytes in
      if let start = bytes.baseAddress { memory.copyMemory(from: start, byteCount: bytes.count) }
    }
    owned.append(memory)
    append(kind, count: list.count, pointer: memory)
  }

  mutating func free() {
    for memory in owned { memory.deallocate() }
    owned = []
  }
}

extension Tensor: OperatorArgument {
  package func append(to list: inout ArgumentList) {
    list.append(CT_TENSOR, pointer: UnsafeRawPointer(pointer))
  }
}

/// An empty list of optional numbers.
package struct NoScalars: OperatorArgument {
  package init() {}
  package func append(to list: inout ArgumentList) { list.append(CT_NO_SCALARS) }
}

extension Int: OperatorArgument {
  package func append(to list: inout ArgumentList) { list.append(CT_INTEGER, integer: self) }
}

extension Double: OperatorArgument {
  package func append(to list: inout ArgumentList) { list.append(CT_REAL, real: self) }
}

extension Bool: OperatorArgument {
  package func append(to list: inout ArgumentList) { list.append(CT_BOOL, integer: self ? 1 : 0) }
}

extension String: OperatorArgument {
  package func append(to list: inout ArgumentList) {
    list.append(CT_STRING, list: Array(utf8CString))
  }
}

extension DType: OperatorArgument {
  package func append(to list: inout ArgumentList) {
    list.append(CT_INTEGER, integer: Int(rawValue))
  }
}

extension Device: OperatorArgument {
  package func append(to list: inout ArgumentList) { list.append(CT_DEVICE, integer: Int(code)) }
}

extension Generator: OperatorArgument {
  package func append(to list: inout ArgumentList) {
    list.append(CT_GENERATOR, pointer: UnsafeRawPointer(handle.pointer))
  }
}

/// Lists of sizes, numbers, flags and tensors.
extension Array: OperatorArgument where Element: OperatorListElement {
  package func append(to list: inout ArgumentList) { Element.append(self, to: &list) }
}

package protocol OperatorListElement: Sendable {
  static func append(_ elements: [Self], to list: inout ArgumentList)
}

extension Int: OperatorListElement {
  package static func append(_ elements: [Int], to list: inout ArgumentList) {
    list.append(CT_INTEGERS, list: elements)
  }
}

extension Double: OperatorListElement {
  package static func append(_ elements: [Double], to list: inout ArgumentList) {
    list.append(CT_REALS, list: elements)
  }
}

extension Bool: OperatorListElement {
  package static func append(_ elements: [Bool], to list: inout ArgumentList) {
    list.append(CT_BOOLS, list: elements.map { $0 ? 1 : 0 })
  }
}

extension Tensor: OperatorListElement {
  package static func append(_ elements: [Tensor], to list: inout ArgumentList) {
    list.append(CT_TENSORS, list: elements.map(\.pointer))
  }
}
