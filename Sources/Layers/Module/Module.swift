import Torch

/// A part of a network: a class whose stored properties are parameters, buffers and modules.
///
/// The path of a property is its checkpoint key: `blocks[0].mlpTokens.fc1.weight` is
/// `blocks.0.mlp_tokens.fc1.weight`. Nothing is registered; the properties are the registry. Where
/// keys are bare numbers, see ``NumberedModule``.
///
/// ```swift
/// final class Gate: Module {
///   let norm: LayerNorm, proj: Linear
///   ...
///   func callAsFunction(_ x: Tensor) -> Tensor { x * proj(norm(x)) }
/// }
/// ```
public protocol Module: AnyObject {}

/// What a module is made of.
package enum ModuleEntry {
  case parameter(Parameter)
  case buffer(Buffer)
  case module(any Module)
}

/// A module that tells itself what it is made of, and by which keys, in the place of its properties:
/// one that adds to another module, whose keys stay as they are.
package protocol ModuleWithEntries: Module {
  var ownEntries: [(key: String, entry: ModuleEntry)] { get }
}

/// A module some of whose properties have keys that no name of a property gives: "LayerNorm", "self".
package protocol ModuleWithKeys: Module {
  /// Keys by property.
  static var keys: [String: String] { get }
}

extension Module {
  /// The module's own properties in the order of their declaration, with their keys.
  package var entries: [(key: String, entry: ModuleEntry)] {
    if let module = self as? any ModuleWithEntries { return module.ownEntries }
    if let list = self as? any NumberedModule {
      return list.numbered.map { ("\($0.place)", .module($0.module)) }
    }
    var chain: [Mirror] = []
    var mirror: Mirror? = Mirror(reflecting: self)
    while let level = mirror {
      chain.append(level)
      mirror = level.superclassMirror
    }
    let keys = (self as? any ModuleWithKeys).map { type(of: $0).keys } ?? [:]
    return chain.reversed().flatMap(\.children).flatMap { child in
      child.label.map { moduleEntries(of: child.value, key: keys[$0] ?? snakeCase($0)) } ?? []
    }
  }

  /// This module and all below it, outermost first, with their paths ("" for this one).
  public var namedModules: [(name: String, module: any Module)] {
    [("", self)]
      + entries.flatMap { key, entry -> [(name: String, module: any Module)] in
        guard case .module(let module) = entry else { return [] }
        return module.namedModules.map { (joinKeys(key, $0.name), $0.module) }
      }
  }

  /// All parameters with their checkpoint keys, in the order of declaration.
  public var namedParameters: [(name: String, parameter: Parameter)] {
    entries.flatMap { key, entry -> [(name: String, parameter: Parameter)] in
      switch entry {
      case .parameter(let parameter): [(key, parameter)]
      case .buffer: []
      case .module(let module):
        module.namedParameters.map { (joinKeys(key, $0.name), $0.parameter) }
      }
    }
  }

  /// All buffers with their checkpoint keys, in the order of declaration.
  public var namedBuffers: [(name: String, buffer: Buffer)] {
    entries.flatMap { key, entry -> [(name: String, buffer: Buffer)] in
      switch entry {
      case .parameter: []
      case .buffer(let buffer): [(key, buffer)]
      case .module(let module): module.namedBuffers.map { (joinKeys(key, $0.name), $0.buffer) }
      }
    }
  }

  /// How many numbers training changes.
  public var parameterCount: Int { namedParameters.reduce(0) { $0 + $1.parameter.tensor.count } }

  /// Freezes the parameters at and below each of `paths`: "blocks.1", "head.bias" (all, without).
  ///
  /// - Throws: `MingleError` for a path without parameters; nothing is changed then.
  public func freeze(_ paths: [String] = [""]) throws { try setFrozen(true, paths) }

  /// Trains the parameters at and below each of `paths` (all, without paths) again.
  ///
  /// - Throws: `MingleError` for a path without parameters; nothing is changed then.
  public func unfreeze(_ paths: [String] = [""]) throws { try setFrozen(false, paths) }

  private func setFrozen(_ frozen: Bool, _ paths: [String]) throws {
    let parameters = namedParameters
    let found = try paths.flatMap { path in
      let below = parameters.filter { name, _ in
        path.isEmpty || name == path || name.hasPrefix(path + ".")
      }
      guard !below.isEmpty else { throw unknownPath(path, among: parameters.map(\.name)) }
      return below
    }
    for (_, parameter) in found { parameter.isFrozen = frozen }
  }

  private func unknownPath(_ path: String, among parameters: [String]) -> MingleError {
    let modules = namedModules.map(\.name).filter { !$0.isEmpty }
    return MingleError(
      .usage, "the model has no parameters at '\(path)'",
      expected: "a path such as '\(parameters.first ?? "")', or the start of one up to a dot",
      next: nearest(to: path, among: modules + parameters).map { "did you mean '\($0)'?" })
  }

  /// Moves parameters and buffers to `device`.
  public func move(to device: Device) {
    for (_, parameter) in namedParameters where parameter.tensor.device != device {
      parameter.replace(parameter.tensor.detached().to(device))
    }
    for (_, buffer) in namedBuffers where buffer.tensor.device != device {
      buffer.replace(buffer.tensor.to(device))
    }
  }
}

private func moduleEntries(of value: Any, key: String) -> [(key: String, entry: ModuleEntry)] {
  switch value {
  case let parameter as Parameter: return [(key, .parameter(parameter))]
  case let buffer as Buffer: return [(key, .buffer(buffer))]
  case let module as any Module: return [(key, .module(module))]
  case let modules as [any Module]:
    return modules.enumerated().map { ("\(key).\($0)", .module($1)) }
  case let groups as [[any Module]]:
    return groups.enumerated().flatMap { moduleEntries(of: $1, key: "\(key).\($0)") }
  default:
    let mirror = Mirror(reflecting: value)
    guard mirror.displayStyle == .optional, let wrapped = mirror.children.first else { return [] }
    return moduleEntries(of: wrapped.value, key: key)
  }
}

private func joinKeys(_ parent: String, _ child: String) -> String {
  child.isEmpty ? parent : "\(parent).\(child)"
}

/// `mlpTokens` as checkpoints spell it: `mlp_tokens`; a run of capitals is one word. An underscore at
/// the start, which leaves the name itself free for a computed property, is not part of the key.
package func snakeCase(_ name: String) -> String {
  let letters = Array(name.hasPrefix("_") ? name.dropFirst() : name[...])
  return letters.indices.reduce(into: "") { key, index in
    let startsWord =
      index > 0 && letters[index].isUppercase
      && (!letters[index - 1].isUppercase
        || (index + 1 < letters.count && letters[index + 1].isLowercase))
    key += (startsWord ? "_" : "") + letters[index].lowercased()
  }
}
