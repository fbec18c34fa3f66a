import Layers
import Torch

/// The settings of a network, encoded with the field names of the command line's `--set`.
public protocol ModelConfiguration: Codable, Hashable, Sendable {
  /// - Throws: `MingleError` naming the field whose value cannot be.
  func validate() throws
}

extension ModelConfiguration {
  /// A copy with some fields changed.
  public func with(_ change: (inout Self) -> Void) -> Self {
    var copy = self
    change(&copy)
    return copy
  }
}

/// A network that a configuration describes; see ``VisionModel`` and ``LanguageModel``.
public protocol Model: Module, SendableMetatype {
  associatedtype Configuration: ModelConfiguration

  /// Layouts in which others publish weights of this family, besides its own.
  static var foreignLayouts: [WeightLayout] { get }

  var configuration: Configuration { get }

  /// - Parameter generator: draws the first weights; nil leaves them unset, to be loaded.
  /// - Throws: `MingleError` for a configuration that cannot be.
  init(_ configuration: Configuration, generator: Generator?) throws

  /// What each layer computes for one input of full size: name, output shape, parameters,
  /// multiply-adds.
  func summary() -> [LayerSummary]
}

extension Model {
  public static var foreignLayouts: [WeightLayout] { [] }

  /// Multiply-adds of the matrix products and convolutions for one input of full size.
  public var multiplyAdds: Int { summary().reduce(0) { $0 + $1.multiplyAdds } }
}

/// Checks of configuration values that several families share.
func requireField<Value: Comparable>(
  _ field: String, _ value: Value, in range: ClosedRange<Value>
) throws {
  guard range.contains(value) else {
    throw MingleError(
      .usage, "\(field) is out of range", expected: "\(range.lowerBound) to \(range.upperBound)",
      got: "\(value)")
  }
}

/// The outputs of the stages `names`, in their order, on the way from `input`.
///
/// - Throws: `MingleError` for a name that is no stage.
func outputs(of stages: [Stage], at names: [String], from input: Tensor) throws -> [Tensor] {
  if let unknown = names.first(where: { name in !stages.contains { $0.name == name } }) {
    throw MingleError(
      .usage, "the model has no stage '\(unknown)'",
      expected: stages.map(\.name).joined(separator: ", "))
  }
  var outputs: [String: Tensor] = [:]
  var x = input
  for stage in stages {
    x = stage.run(x)
    outputs[stage.name] = x
  }
  return names.compactMap { outputs[$0] }
}
