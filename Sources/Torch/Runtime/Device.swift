import CTorch

/// Where a tensor's memory lies and its operators run.
public struct Device: Hashable, Sendable {
  /// The kinds of device. Raw values are libtorch's.
  public enum Kind: Int32, Sendable, CaseIterable {
    case cpu = 0
    case cuda = 1
    case mps = 13
    /// Shapes and dtypes without memory; see `withoutMemory(_:)`.
    case meta = 14
  }

  public let kind: Kind
  public let index: Int

  public static let cpu = Device(kind: .cpu, index: 0)
  public static let mps = Device(kind: .mps, index: 0)
  public static func cuda(_ index: Int = 0) -> Device { Device(kind: .cuda, index: index) }

  /// Every device this process can use, the CPU first.
  public static var available: [Device] {
    Kind.allCases.flatMap { kind in
      (0..<Int(ct_device_count(kind.rawValue))).map { Device(kind: kind, index: $0) }
    }
  }

  /// Reads `cpu`, `cuda`, `cuda:1` or `mps`, and checks that this process can use it.
  ///
  /// - Throws: ``MingleError`` for another name, or a device that is not there.
  public init(parsing text: String) throws {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    let kind = Kind.allCases.first { "\($0)" == parts[0] }
    let index = parts.count == 1 ? 0 : Int(parts[1])
    guard let kind, let index, parts.count <= 2, index >= 0 else {
      throw MingleError(
        .usage, "not a device", expected: "cpu, cuda, cuda:N or mps", got: "'\(text)'")
    }
    self.init(kind: kind, index: index)
    guard Device.available.contains(self) else {
      throw MingleError(
        .usage, "device '\(text)' is not available here",
        expected: Device.available.map(\.description).joined(separator: ", "),
        next: kind == .cuda
          ? "link a CUDA build of libtorch (see README, GPU) or use --device cpu"
          : "use --device cpu")
    }
  }

  init(kind: Kind, index: Int) {
    self.kind = kind
    self.index = index
  }

  init(code: Int32) {
    self.init(kind: Kind(rawValue: code >> 8) ?? .cpu, index: Int(code & 0xff))
  }

  var code: Int32 { kind.rawValue << 8 | Int32(index) }

  /// Waits until the device has done all work queued so far.
  public func synchronize() {
    Engine.check(ct_synchronize(code), "synchronize")
  }
}

extension Device: CustomStringConvertible {
  public var description: String { kind == .cuda ? "cuda:\(index)" : "\(kind)" }
}
