import Torch

/// What a pickle is made of, as far as weights need it.
///
/// Containers are numbers of places in ``PickleObjects``: as deep or circular as a file nests them,
/// nothing here recurses, also not when they are freed.
enum PickleValue {
  /// Python's None.
  case nothing
  case bool(Bool)
  case integer(Int)
  case real(Double)
  case text(String)
  /// Bytes, whose content nothing needs.
  case bytes
  /// A tuple, list or set.
  case sequence(Int)
  case dictionary(Int)
  case storage(Int)
  case tensor(Int)
  /// A tensor of a kind that Mingle does not read, by the name of its kind.
  case foreignTensor(String)
  /// A function or class that is known, not called.
  case global(PickleGlobal)
  /// An object of a class that is known to be harmless and without weights: nothing but a name.
  case object(String)
}

/// Everything that the values of a pickle refer to.
struct PickleObjects {
  struct Entry {
    let key: PickleValue
    let value: PickleValue
  }

  var sequences: [[PickleValue]] = []
  var dictionaries: [[Entry]] = []
  var storages: [StorageView] = []
  var tensors: [TensorView] = []
  /// All storages by key: a key means the same one wherever it appears.
  var storagesByKey: [String: PickledStorage] = [:]

  mutating func sequence(_ elements: [PickleValue]) -> PickleValue {
    sequences.append(elements)
    return .sequence(sequences.count - 1)
  }

  mutating func dictionary(_ entries: [Entry] = []) -> PickleValue {
    dictionaries.append(entries)
    return .dictionary(dictionaries.count - 1)
  }

  /// The elements of a tuple, list or set; nil for anything else.
  func elements(_ value: PickleValue) -> [PickleValue]? {
    guard case .sequence(let index) = value else { return nil }
    return sequences[index]
  }

  /// The elements of a tuple of whole numbers from 0 on; nil for anything else, and for more than a
  /// tensor can have dimensions.
  func sizes(_ value: PickleValue) -> [Int]? {
    guard let elements = elements(value), elements.count <= 64 else { return nil }
    var sizes: [Int] = []
    for element in elements {
      guard let size = element.count else { return nil }
      sizes.append(size)
    }
    return sizes
  }
}

extension PickleValue {
  var text: String? { if case .text(let text) = self { text } else { nil } }

  /// A whole number from 0 on.
  var count: Int? { if case .integer(let value) = self, value >= 0 { value } else { nil } }
}

/// A value with everything that it refers to.
struct Pickle {
  let root: PickleValue
  let objects: PickleObjects
}
