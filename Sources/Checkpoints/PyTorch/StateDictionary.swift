import Torch

/// The weights among all that a training program saved: a dictionary from names to tensors.
///
/// A file may be that dictionary, or hold it under a name (``parts``), also twice nested. Where a file
/// has several, the first name decides, so that plain weights come before averaged ones (EMA). If no
/// known name is there, the only dictionary of tensors is taken. What is no tensor is left out.
///
/// `module.` and `_orig_mod.`, which data-parallel and compiled models put before every name, are
/// taken away if every name has them.
struct StateDictionary {
  /// The names under which programs save weights, in the order of preference.
  static let parts = plainParts + averagedParts
  private static let plainParts = [
    "state_dict", "model", "model_state_dict", "model_state", "net", "network", "module", "weights",
    "params",
  ]
  private static let averagedParts = [
    "state_dict_ema", "model_ema", "model_ema_state_dict", "ema_state_dict", "ema", "params_ema",
  ]
  private static let wrappers = ["module.", "_orig_mod."]
  /// Bytes of a name; longer ones are an attack.
  private static let longestName = 4096

  /// Where in the file the weights are: `["model"]`; empty for the whole.
  let place: [String]
  /// In the file's order.
  let names: [String]
  let tensors: [String: TensorView]

  /// - Parameters:
  ///   - part: the name of the wanted part; nil for the preferred one.
  ///   - path: The file's name for messages.
  /// - Throws: `MingleError` (`badData`) if there are no weights, or tensors that cannot be read.
  init(in pickle: Pickle, part: String?, path: String) throws {
    var search = Search(objects: pickle.objects)
    guard let found = search.weights(in: pickle.root, part: part) else {
      throw MingleError(
        .badData, part.map { "no weights under '\($0)'" } ?? "a PyTorch file without named weights",
        in: path, expected: part == nil ? "a dictionary of tensors (a state_dict)" : nil,
        got: search.contents(of: pickle.root),
        next: "in Python, save model.state_dict() alone")
    }

    var names: [String] = []
    var tensors: [TensorView] = []
    for entry in pickle.objects.dictionaries[found.dictionary] {
      switch (entry.key, entry.value) {
      case (.text(let name), .tensor(let index)):
        guard name.utf8.count <= Self.longestName else {
          throw MingleError(
            .badData, "a tensor with a name of \(name.utf8.count) bytes", in: path,
            expected: "at most \(Self.longestName)", next: damagedFileAdvice)
        }
        names.append(name)
        tensors.append(pickle.objects.tensors[index])
      case (.text(let name), .foreignTensor(let kind)):
        throw MingleError(
          .badData, "the tensor '\(name.prefix(100))' is of a kind that Mingle does not read",
          in: path, got: kind, next: "convert it to a dense float32 tensor in Python")
      case (_, .tensor), (_, .foreignTensor):
        throw MingleError(
          .badData, "a tensor whose name is no text", in: path,
          next: "in Python, save model.state_dict() alone")
      default: break
      }
    }
    // A model may be wrapped several times, but not without end.
    for _ in 0..<4 {
      for wrapper in Self.wrappers where names.allSatisfy({ $0.hasPrefix(wrapper) }) {
        names = names.map { String($0.dropFirst(wrapper.count)) }
      }
    }
    self.tensors = try Dictionary(zip(names, tensors)) { _, _ in
      throw MingleError(.badData, "a tensor's name twice", in: path, next: damagedFileAdvice)
    }
    self.names = names
    place = found.place
  }

  /// Looks for weights. Each dictionary is looked at once, however often the file refers to it.
  private struct Search {
    let objects: PickleObjects
    var seen: Set<Int> = []

    mutating func weights(
      in value: PickleValue, part: String?
    ) -> (place: [String], dictionary: Int)? {
      guard case .dictionary(let root) = value else { return nil }
      if let part {
        guard let value = values(of: [part], in: root)[part] else { return nil }
        return weights(in: value, at: [part])
      }
      if let found = weights(in: value, at: []) { return found }
      // The same dictionary may be there under many names.
      var candidates: [Int: String] = [:]
      for entry in objects.dictionaries[root] {
        if let key = entry.key.text, case .dictionary(let index) = entry.value {
          candidates[index] = key
        }
      }
      let holders = candidates.filter { holdsTensors($0.key) }
      return holders.count == 1 ? holders.first.map { ([$0.value], $0.key) } : nil
    }

    private mutating func weights(
      in value: PickleValue, at place: [String]
    ) -> (place: [String], dictionary: Int)? {
      guard case .dictionary(let index) = value, seen.insert(index).inserted else { return nil }
      if place.count < 2 {
        let values = values(of: StateDictionary.parts, in: index)
        for name in StateDictionary.parts {
          if let value = values[name], let found = weights(in: value, at: place + [name]) {
            return found
          }
        }
      }
      return holdsTensors(index) ? (place, index) : nil
    }

    private func values(of names: [String], in dictionary: Int) -> [String: PickleValue] {
      var values: [String: PickleValue] = [:]
      for entry in objects.dictionaries[dictionary] {
        if let key = entry.key.text, names.contains(key) { values[key] = entry.value }
      }
      return values
    }

    private func holdsTensors(_ dictionary: Int) -> Bool {
      objects.dictionaries[dictionary].contains { entry in
        switch entry.value {
        case .tensor, .foreignTensor: true
        default: false
        }
      }
    }

    /// What a file without weights is, in a few words.
    func contents(of value: PickleValue) -> String {
      switch value {
      case .dictionary(let index):
        let keys = objects.dictionaries[index].prefix(9).map { entry in
          entry.key.text.map { String($0.prefix(30)) } ?? "..."
        }
        return keys.isEmpty ? "an empty dictionary" : keys.joined(separator: ", ")
      case .tensor, .foreignTensor: return "a single tensor without name"
      case .sequence: return "a list"
      case .object(let name): return name
      default: return "a single value"
      }
    }
  }
}
