import Torch

/// Whether a module is being trained; only some layers tell the difference.
public enum Mode: Sendable {
  /// No dropout, no stochastic depth, running statistics.
  case evaluation
  /// Dropout and stochastic depth draw from the generator.
  case training(Generator)
}

/// A layer that does something else while it is being trained.
public protocol ModeDependent: Module {
  var mode: Mode { get set }
}

extension Module {
  /// Sets the mode of all layers below; they start in evaluation.
  public func setMode(_ mode: Mode) {
    for case let layer as any ModeDependent in namedModules.map(\.module) { layer.mode = mode }
  }
}
