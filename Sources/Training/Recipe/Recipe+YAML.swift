import Data
import Foundation
import Layers
import Torch
import Yams

extension Recipe {
  /// Reads a recipe; a run's `config.yaml` is one.
  ///
  /// - Throws: `MingleError` if the file is missing, is no YAML, or has a key or value that cannot
  ///   be, with the line or the nearest key.
  public init(contentsOf path: String) throws {
    guard let data = FileManager.default.contents(atPath: path) else {
      let isThere = FileManager.default.fileExists(atPath: path)
      throw MingleError(
        .missingInput, isThere ? "the recipe cannot be read" : "no such file", in: path,
        expected: "a recipe (YAML)", next: isThere ? nil : "check the path's spelling")
    }
    try self.init(yaml: String(decoding: data, as: UTF8.self), from: path)
  }

  /// Reads a recipe from YAML text; `path` names it in errors.
  public init(yaml: String, from path: String? = nil) throws {
    do {
      let node = try Yams.compose(yaml: yaml)
      if let mapping = node?.mapping { try Recipe.checkKeys(of: mapping, in: path) }
      self = try YAMLDecoder().decode(Recipe.self, from: yaml)
    } catch let error as MingleError {
      throw error
    } catch let error as YamlError {
      throw MingleError(.badData, "no valid YAML: \(error.reason)", in: path)
    } catch let error as DecodingError {
      let (field, why) = error.fieldAndReason
      let what = field.isEmpty ? "the recipe" : "the recipe's '\(field)'"
      throw MingleError(.usage, "\(what) cannot be read: \(why)", in: path)
    }
  }

  /// The recipe as YAML, every key with its value.
  public func yaml() throws -> String {
    let encoder = YAMLEncoder()
    encoder.options.sortKeys = false
    let text = try encoder.encode(self)
    guard var node = try Yams.compose(yaml: text) else { return text }
    if let settings = node["settings"]?.mapping {
      let sorted = settings.sorted { ($0.key.string ?? "") < ($1.key.string ?? "") }
      node["settings"] = Node(sorted.map { ($0.key, $0.value) })
    }
    return try Yams.serialize(node: withPlainNumbers(node))
  }

  /// `node` with 0.2 instead of the encoder's 2e-1.
  private func withPlainNumbers(_ node: Node) -> Node {
    var result = node
    switch node {
    case .scalar(var scalar):
      if scalar.style != .singleQuoted, scalar.string.contains("e"),
        let number = Double(scalar.string)
      {
        scalar.string = "\(number)"
        result = .scalar(scalar)
      }
    case .mapping(var mapping):
      for (key, value) in mapping { mapping[key] = withPlainNumbers(value) }
      result = .mapping(mapping)
    case .sequence(var sequence):
      for index in sequence.indices { sequence[index] = withPlainNumbers(sequence[index]) }
      result = .sequence(sequence)
    default: break
    }
    return result
  }

  /// The keys below a key, by the names on the way to it: a typing error in a recipe must not be
  /// passed over.
  private static let nestedKeys: [String: [String]] = [
    "": fields.map(\.name),
    "optimizer": OptimizerConfiguration.fields.map(\.name),
    "schedule": Schedule.fields.map(\.name),
    "text": TextRecipe.fields.map(\.name),
    "text.corpus": CorpusOptions.fields.map(\.name),
    "text.masking": Masking.fields.map(\.name),
    "text.columns": ["text", "pair", "label"],
    "text.windows": SQuADWindowOptions.fields.map(\.name),
    "augmentation": Augmentation.fields.map(\.name),
    "augmentation.random_resized_crop": RandomResizedCrop.fields.map(\.name),
    "augmentation.color_jitter": ColorJitter.fields.map(\.name),
    "augmentation.rand_augment": RandAugment.fields.map(\.name),
  ]

  /// - Throws: `MingleError` naming a key that a recipe does not have, and its line.
  static func checkKeys(
    of mapping: Node.Mapping, under parent: String = "", in path: String?
  ) throws {
    guard let known = nestedKeys[parent] else { return }
    for (key, value) in mapping {
      let name = key.string ?? "?"
      let fullName = parent.isEmpty ? name : "\(parent).\(name)"
      guard known.contains(name) else {
        throw MingleError(
          .usage, "the recipe has no key '\(fullName)'",
          in: key.mark.map { "\(path ?? "recipe"), line \($0.line)" } ?? path,
          next: nearest(to: name, among: known).map { "did you mean '\($0)'?" }
            ?? "the keys are: \(known.sorted().joined(separator: ", "))")
      }
      if let inner = value.mapping { try checkKeys(of: inner, under: fullName, in: path) }
    }
  }
}

extension YamlError {
  /// What is wrong and where, without the text around it, which may be long.
  var reason: String {
    switch self {
    case .reader(let problem, _, _, _): problem
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      "\(problem) in line \(mark.line), column \(mark.column)"
    case .duplicatedKeysInMapping(let duplicates, _):
      "given twice: \(duplicates.joined(separator: ", "))"
    default: "\(self)"
    }
  }
}

extension DecodingError {
  fileprivate var fieldAndReason: (field: String, reason: String) {
    func field(_ context: Context) -> String {
      context.codingPath.map(\.stringValue).joined(separator: ".")
    }
    switch self {
    case .typeMismatch(let type, let context):
      return (field(context), "expected \(words(for: type))")
    case .valueNotFound(_, let context), .dataCorrupted(let context):
      let reason = (context.underlyingError as? MingleError).map(\.description)
      return (field(context), reason ?? context.debugDescription)
    case .keyNotFound(let key, _): return (key.stringValue, "it is missing")
    @unknown default: return ("?", "\(self)")
    }
  }

  /// What a value of the type looks like in YAML.
  private func words(for type: Any.Type) -> String {
    switch type {
    case is any FixedWidthInteger.Type: "a whole number"
    case is any FloatingPoint.Type: "a number"
    case is Bool.Type: "true or false"
    case is Node.Mapping.Type: "keys with values"
    case is Node.Sequence.Type: "a list"
    default: "a single value"
    }
  }
}
