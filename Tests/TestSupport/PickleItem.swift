import Torch

/// A Python value, written as CPython's pickler writes it: an own implementation, so that the reader is
/// not tested with itself.
package indirect enum PickleItem {
  /// Python's None.
  case nothing
  case bool(Bool)
  case int(Int)
  case real(Double)
  case text(String)
  case list([PickleItem])
  case tuple([PickleItem])
  case dictionary([(PickleItem, PickleItem)])
  /// `collections.OrderedDict`, with an attribute as `Module.state_dict()` gives it.
  case ordered([(PickleItem, PickleItem)])
  /// A function or class.
  case global(String, String)
  /// A function called with arguments.
  case call(PickleItem, [PickleItem])
  /// An object of a class, with its attributes.
  case object(PickleItem, [(PickleItem, PickleItem)])
  /// What the program outside keeps: a storage.
  case persistent([PickleItem])
  /// Operations as they are.
  case raw([UInt8])

  package static func named(_ items: [(String, PickleItem)]) -> PickleItem {
    .dictionary(items.map { (.text($0), $1) })
  }

  /// The whole pickle, of protocol 1 to 5.
  package func pickled(protocol version: UInt8 = 2) -> [UInt8] {
    var writer = PickleWriter(version: version)
    if version >= 2 { writer.bytes += [0x80, version] }
    writer.write(self)
    writer.bytes.append(UInt8(ascii: "."))
    guard version >= 4 else { return writer.bytes }
    let body = writer.bytes.dropFirst(2)
    return [0x80, version, 0x95] + little(UInt64(body.count)) + body
  }
}

private struct PickleWriter {
  let version: UInt8
  var bytes: [UInt8] = []
  /// Where texts and functions are remembered.
  private var memo: [String: Int] = [:]
  private var remembered = 0

  init(version: UInt8) { self.version = version }

  mutating func write(_ item: PickleItem) {
    switch item {
    case .nothing: add("N")
    case .bool(let value):
      if version >= 2 { bytes.append(value ? 0x88 : 0x89) } else { add(value ? "I01\n" : "I00\n") }
    case .int(let value): write(value)
    case .real(let value):
      add("G")
      bytes += little(value.bitPattern).reversed()
    case .text(let text): write(text)
    case .list(let items):
      add("]")
      remember()
      guard !items.isEmpty else { return }
      if items.count == 1 {
        write(items[0])
        add("a")
      } else {
        add("(")
        for item in items { write(item) }
        add("e")
      }
    case .tuple(let items):
      if items.isEmpty {
        add(")")
      } else if items.count <= 3, version >= 2 {
        for item in items { write(item) }
        bytes.append(0x84 + UInt8(items.count))
        remember()
      } else {
        add("(")
        for item in items { write(item) }
        add("t")
        remember()
      }
    case .dictionary(let items):
      add("}")
      remember()
      write(items)
    case .ordered(let items):
      write(.call(.global("collections", "OrderedDict"), []))
      write(items)
      write(.named([("_metadata", .named([]))]))
      add("b")
    case .global(let module, let name): write(global: module, name)
    case .call(let function, let arguments):
      write(function)
      write(.tuple(arguments))
      add("R")
      remember()
    case .object(let type, let attributes):
      write(type)
      write(.tuple([]))
      bytes.append(0x81)
      remember()
      write(.dictionary(attributes))
      add("b")
    case .persistent(let id):
      write(.tuple(id))
      add("Q")
    case .raw(let operations): bytes += operations
    }
  }

  private mutating func write(_ items: [(PickleItem, PickleItem)]) {
    guard !items.isEmpty else { return }
    // CPython writes a thousand entries at once.
    for start in stride(from: 0, to: items.count, by: 1000) {
      add("(")
      for (key, value) in items[start..<min(start + 1000, items.count)] {
        write(key)
        write(value)
      }
      add("u")
    }
  }

  private mutating func write(_ value: Int) {
    switch value {
    case 0..<0x100: bytes += [UInt8(ascii: "K"), UInt8(value)]
    case 0x100..<0x1_0000: bytes += [UInt8(ascii: "M")] + little(UInt16(value))
    case -0x8000_0000..<0x8000_0000: bytes += [UInt8(ascii: "J")] + little(Int32(value))
    case _ where version < 2: add("L\(value)L\n")
    default: bytes += [0x8a, 8] + little(value)
    }
  }

  private mutating func write(_ text: String) {
    if recall("text \(text)") { return }
    let content = Array(text.utf8)
    if version >= 4, content.count < 0x100 {
      bytes += [0x8c, UInt8(content.count)] + content
    } else {
      bytes += [UInt8(ascii: "X")] + little(UInt32(content.count)) + content
    }
    remember("text \(text)")
  }

  private mutating func write(global module: String, _ name: String) {
    if recall("global \(module) \(name)") { return }
    if version >= 4 {
      write(module)
      write(name)
      bytes.append(0x93)
    } else {
      add("c\(module)\n\(name)\n")
    }
    remember("global \(module) \(name)")
  }

  private mutating func remember(_ key: String? = nil) {
    if let key { memo[key] = remembered }
    if version >= 4 {
      bytes.append(0x94)
    } else if remembered < 0x100 {
      bytes += [UInt8(ascii: "q"), UInt8(remembered)]
    } else {
      bytes += [UInt8(ascii: "r")] + little(UInt32(remembered))
    }
    remembered += 1
  }

  private mutating func recall(_ key: String) -> Bool {
    guard let place = memo[key] else { return false }
    if place < 0x100 {
      bytes += [UInt8(ascii: "h"), UInt8(place)]
    } else {
      bytes += [UInt8(ascii: "j")] + little(UInt32(place))
    }
    return true
  }

  private mutating func add(_ text: String) { bytes += Array(text.utf8) }
}

private func little(_ value: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}
