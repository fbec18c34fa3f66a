import Torch

/// Reads a pickle without running it: tensors, containers, numbers and texts, nothing else.
///
/// Python's pickles are programs for a small machine that may call any function. This machine knows
/// the few functions and classes that weights are saved with (``PickleGlobal``) and does by itself
/// what they stand for; another name ends the reading with an error that tells it. Nothing
/// recurses, and every operation costs a bounded amount of memory; their number is limited.
struct Unpickler {
  /// Honest files have some tens for each tensor.
  static let maximumOperations = 5_000_000

  private(set) var objects = PickleObjects()
  private var reader: PickleReader
  private var stack: [PickleValue] = []
  /// How high the stack was at each open mark.
  private var marks: [Int] = []
  private var memo: [Int: PickleValue] = [:]
  /// Elements copied from one container into another.
  private var copied = 0

  private init(_ reader: PickleReader) { self.reader = reader }

  /// Reads the pickle that begins at `position`, which is then after it.
  ///
  /// - Parameter path: The file's name for messages.
  /// - Throws: `MingleError` (`badData`) for a damaged pickle, and for one that asks for anything
  ///   else than weights.
  static func load(
    _ bytes: UnsafeRawBufferPointer, at position: inout Int, path: String
  ) throws -> Pickle {
    var unpickler = Unpickler(PickleReader(bytes, from: position, path: path))
    let root = try unpickler.run()
    position = unpickler.reader.position
    return Pickle(root: root, objects: unpickler.objects)
  }

  private mutating func run() throws -> PickleValue {
    for _ in 0..<Self.maximumOperations {
      let code = try reader.byte()
      guard let operation = PickleOperation(rawValue: code) else {
        throw reader.failure(
          "the operation \(code), which is not read,",
          next: "copy or download the file again, or save it with torch.save's own pickle_protocol")
      }
      if case .stop = operation {
        let root = try pop()
        guard stack.isEmpty, marks.isEmpty else { throw reader.failure("an end too early") }
        return root
      }
      try perform(operation)
    }
    throw reader.failure(
      "more than \(Self.maximumOperations) operations", next: "save the weights alone")
  }

  private mutating func perform(_ operation: PickleOperation) throws {
    switch operation {
    case .stop: break
    case .protocolVersion:
      let version = try reader.byte()
      guard version <= 5 else { throw reader.failure("protocol \(version), where 5 is the last,") }
    case .frame:
      guard try reader.integer(as: UInt64.self) <= UInt64(reader.rest) else {
        throw reader.failure("a frame beyond its end")
      }

    case .mark: marks.append(stack.count)
    case .pop: _ = try pop()
    case .popMark: _ = try popToMark()
    case .duplicate: stack.append(try top())
    case .get1: try recall(Int(reader.byte()))
    case .get4: try recall(Int(reader.integer(as: UInt32.self)))
    case .put1: memo[Int(try reader.byte())] = try top()
    case .put4: memo[Int(try reader.integer(as: UInt32.self))] = try top()
    case .memoize: memo[memo.count] = try top()

    case .none: stack.append(.nothing)
    case .true_: stack.append(.bool(true))
    case .false_: stack.append(.bool(false))
    case .integerText: stack.append(try integer(fromText: reader.line()))
    case .longText: stack.append(try integer(fromText: reader.line()))
    case .unsigned1: stack.append(.integer(Int(try reader.byte())))
    case .unsigned2: stack.append(.integer(Int(try reader.integer(as: UInt16.self))))
    case .signed4: stack.append(.integer(Int(try reader.integer(as: Int32.self))))
    case .long1: stack.append(integer(from: try reader.counted(by: UInt8.self)))
    case .long4: stack.append(integer(from: try reader.counted(by: Int32.self)))
    case .real8:
      let bits = UInt64(bigEndian: UInt64(littleEndian: try reader.integer(as: UInt64.self)))
      stack.append(.real(Double(bitPattern: bits)))
    case .unicode1, .string1: stack.append(.text(try reader.text(countedBy: UInt8.self)))
    case .unicode4: stack.append(.text(try reader.text(countedBy: UInt32.self)))
    case .unicode8: stack.append(.text(try reader.text(countedBy: UInt64.self)))
    case .string4: stack.append(.text(try reader.text(countedBy: Int32.self)))
    case .bytes1: try skipBytes(countedBy: UInt8.self)
    case .bytes4: try skipBytes(countedBy: UInt32.self)
    case .bytes8, .byteArray8: try skipBytes(countedBy: UInt64.self)

    case .emptyTuple, .emptyList, .emptySet: stack.append(objects.sequence([]))
    case .tuple1: try makeTuple(1)
    case .tuple2: try makeTuple(2)
    case .tuple3: try makeTuple(3)
    case .tuple, .frozenSet: stack.append(objects.sequence(try popToMark()))
    case .append: try append([pop()])
    case .appends, .addItems: try append(popToMark())
    case .emptyDictionary: stack.append(objects.dictionary())
    case .setItem:
      let value = try pop()
      try setItems([pop(), value])
    case .setItems: try setItems(popToMark())

    case .global: try pushGlobal(module: reader.line(), name: reader.line())
    case .stackGlobal:
      guard let name = try pop().text, let module = try pop().text else {
        throw reader.failure("a name that is no text")
      }
      try pushGlobal(module: module, name: name)
    case .reduce, .newObject:
      let arguments = try pop()
      try call(pop(), arguments)
    case .newObjectWithKeywords:
      _ = try pop()
      let arguments = try pop()
      try call(pop(), arguments)
    case .instance:
      let arguments = objects.sequence(try popToMark())
      try pushGlobal(module: reader.line(), name: reader.line())
      try call(pop(), arguments)
    case .object:
      let parts = try popToMark()
      guard let function = parts.first else { throw reader.failure("an object of no class") }
      try call(function, objects.sequence(Array(parts.dropFirst())))
    case .build: try build()
    case .persistentID: stack.append(try storage(pop()))
    }
  }
}

// MARK: - The stack

extension Unpickler {
  /// What lies on the stack above the last mark.
  private func top() throws -> PickleValue {
    guard stack.count > marks.last ?? 0, let top = stack.last else {
      throw reader.failure("too little on its stack")
    }
    return top
  }

  private mutating func pop() throws -> PickleValue {
    let top = try top()
    stack.removeLast()
    return top
  }

  /// Everything above the last mark, which goes too.
  private mutating func popToMark() throws -> [PickleValue] {
    guard let mark = marks.popLast() else { throw reader.failure("no mark") }
    let values = Array(stack[mark...])
    stack.removeLast(values.count)
    return values
  }

  private mutating func recall(_ place: Int) throws {
    guard let value = memo[place] else { throw reader.failure("nothing in memory \(place)") }
    stack.append(value)
  }
}

// MARK: - Numbers and containers

extension Unpickler {
  /// A number in little-endian bytes, the last of which has the sign.
  private func integer(from bytes: UnsafeRawBufferPointer) -> PickleValue {
    guard bytes.count <= 8 else { return .object("int") }
    var value = bytes.last.map { $0 >= 0x80 } == true ? -1 : 0
    for byte in bytes.reversed() { value = value << 8 | Int(byte) }
    return .integer(value)
  }

  /// `12`, `12L`; `01` and `00` are True and False.
  private func integer(fromText text: String) throws -> PickleValue {
    if text == "00" || text == "01" { return .bool(text == "01") }
    let digits = text.hasSuffix("L") ? text.dropLast() : text[...]
    if let value = Int(digits) { return .integer(value) }
    guard !digits.isEmpty, digits.allSatisfy({ "0"..."9" ~= $0 }) else {
      throw reader.failure("something else than a number")
    }
    return .object("int")
  }

  private mutating func skipBytes<Count: FixedWidthInteger & BitwiseCopyable>(
    countedBy type: Count.Type
  ) throws {
    _ = try reader.counted(by: type)
    stack.append(.bytes)
  }

  private mutating func makeTuple(_ count: Int) throws {
    var values: [PickleValue] = []
    for _ in 0..<count { values.append(try pop()) }
    stack.append(objects.sequence(values.reversed()))
  }

  private mutating func append(_ values: [PickleValue]) throws {
    switch try top() {
    case .sequence(let index): objects.sequences[index].append(contentsOf: values)
    case .object: break
    default: throw reader.failure("elements for what is no list")
    }
  }

  /// - Parameter items: keys and values in turn.
  private mutating func setItems(_ items: [PickleValue]) throws {
    guard items.count % 2 == 0 else { throw reader.failure("a key without a value") }
    switch try top() {
    case .dictionary(let index):
      for item in stride(from: 0, to: items.count, by: 2) {
        objects.dictionaries[index].append(.init(key: items[item], value: items[item + 1]))
      }
    case .object: break
    default: throw reader.failure("entries for what is no dictionary")
    }
  }
}

// MARK: - Functions and classes

extension Unpickler {
  private mutating func pushGlobal(module: String, name: String) throws {
    guard let global = PickleGlobal(module: module, name: name) else {
      throw reader.failure(
        "'\("\(module).\(name)".prefix(100))', which is no tensor, container or number,",
        next: "nothing was run; if you trust the file, save its state_dict() alone with Python")
    }
    stack.append(.global(global))
  }

  /// Puts on the stack what a known function or class makes of its arguments.
  private mutating func call(_ function: PickleValue, _ arguments: PickleValue) throws {
    guard case .global(let global) = function, let arguments = objects.elements(arguments) else {
      throw reader.failure("a call of what is no function")
    }
    switch global.role {
    case .tensor, .typedTensor, .parameter, .tensorWithAttributes, .foreignTensor:
      stack.append(try tensor(global, arguments))
    case .same:
      guard let value = arguments.first else { throw reader.failure("a call without arguments") }
      stack.append(value)
    case .dictionary: stack.append(try dictionary(arguments))
    case .sequence:
      if case .sequence? = arguments.first {
        stack.append(arguments[0])
      } else {
        stack.append(objects.sequence([]))
      }
    case .bytes: stack.append(.bytes)
    case .inert: stack.append(.object(global.name))
    case .tensorClass, .storage, .dtype:
      throw reader.failure("a call of '\(global.name)'")
    }
  }

  /// `dict()`, `dict(dictionary)`, `dict([(key, value), ...])`; `defaultdict(function)`.
  private mutating func dictionary(_ arguments: [PickleValue]) throws -> PickleValue {
    switch arguments.first {
    case .dictionary?: return arguments[0]
    case .sequence(let index)?:
      let pairs = objects.sequences[index]
      copied += pairs.count
      guard copied <= Self.maximumOperations else { throw reader.failure("too many copies") }
      var entries: [PickleObjects.Entry] = []
      for pair in pairs {
        guard let pair = objects.elements(pair), pair.count == 2 else {
          throw reader.failure("an entry without key and value")
        }
        entries.append(.init(key: pair[0], value: pair[1]))
      }
      return objects.dictionary(entries)
    default: return objects.dictionary()
    }
  }

  /// Leaves an object's Python attributes away.
  private mutating func build() throws {
    _ = try pop()
    switch try top() {
    case .object, .dictionary, .sequence: break
    default: throw reader.failure("attributes for what has none")
    }
  }
}

// MARK: - Tensors

extension Unpickler {
  /// The storage of `('storage', class, key, device, count)`, to which older files add either
  /// None or the part that is meant: `(key, offset, count)`.
  private mutating func storage(_ id: PickleValue) throws -> PickleValue {
    guard let id = objects.elements(id), (5...6).contains(id.count), id[0].text == "storage",
      case .global(let kind) = id[1], case .storage(let dtype) = kind.role, let key = id[2].text,
      let count = id[4].count
    else { throw reader.failure("a reference to what is no storage") }
    guard let dtype else { return .foreignTensor(kind.name) }
    let storage = PickledStorage(key: key, dtype: dtype, count: count)
    guard dtype.byteCount(of: [count]) != nil,
      objects.storagesByKey.updateValue(storage, forKey: key) ?? storage == storage
    else { throw reader.failure("an impossible storage '\(key.prefix(100))'") }

    var elements = 0..<count
    if id.count == 6, let part = objects.elements(id[5]) {
      guard part.count == 3, let offset = part[1].count, let size = part[2].count,
        offset <= count, size <= count - offset
      else { throw reader.failure("an impossible part of storage '\(key.prefix(100))'") }
      elements = offset..<offset + size
    }
    objects.storages.append(StorageView(storage: storage, elements: elements))
    return .storage(objects.storages.count - 1)
  }

  /// What a function that rebuilds tensors returns.
  private mutating func tensor(
    _ function: PickleGlobal, _ arguments: [PickleValue]
  ) throws -> PickleValue {
    var (function, arguments) = (function, arguments)
    if case .tensorWithAttributes = function.role {
      guard arguments.count == 4, case .global(let inner) = arguments[0],
        case .global(let type) = arguments[1], case .tensorClass = type.role,
        let innerArguments = objects.elements(arguments[2])
      else { throw reader.failure("a tensor of an unknown class") }
      (function, arguments) = (inner, innerArguments)
    }

    switch (function.role, arguments.first) {
    case (.foreignTensor, _): return .foreignTensor(function.name)
    case (.parameter, .tensor?), (_, .foreignTensor?): return arguments[0]
    case (.tensor, .storage(let index)?):
      return try tensor(of: objects.storages[index], arguments)
    case (.typedTensor, .storage(let index)?):
      let bytes = objects.storages[index]
      guard arguments.count >= 7, case .global(let type) = arguments[6],
        case .dtype(let dtype) = type.role
      else { throw reader.failure("a tensor without dtype") }
      guard let dtype else { return .foreignTensor(type.name) }
      guard bytes.storage.dtype == dtype else {
        throw reader.failure("a tensor of another dtype than its storage")
      }
      return try tensor(of: bytes, arguments)
    default: throw reader.failure("a tensor without storage")
    }
  }

  /// A tensor of `(storage, offset, size, stride, ...)`.
  private mutating func tensor(
    of storage: StorageView, _ arguments: [PickleValue]
  ) throws -> PickleValue {
    guard arguments.count >= 4, let offset = arguments[1].count,
      let shape = objects.sizes(arguments[2]), let strides = objects.sizes(arguments[3])
    else { throw reader.failure("a tensor without offset, sizes and strides from 0 on") }
    guard let view = TensorView(of: storage, offset: offset, shape: shape, strides: strides) else {
      throw reader.failure(
        "a tensor of shape \(shape), strides \(strides) and offset \(offset), which leaves its "
          + "storage of \(storage.elements.count) elements,")
    }
    objects.tensors.append(view)
    return .tensor(objects.tensors.count - 1)
  }
}
