import Layers
import Torch

/// Which optimizer, and its settings; the learning rate is the schedule's.
///
/// Decoding takes what is not given from the named optimizer's defaults.
public struct OptimizerConfiguration: Codable, Sendable, Hashable {
  public enum Name: String, Codable, Sendable, CaseIterable {
    case sgd, adamw, lamb
  }

  public var name: Name
  /// The share of the last step's direction that SGD keeps, 0 up to 1.
  public var momentum = 0.9
  /// Whether SGD looks ahead along its momentum.
  public var nesterov = false
  /// The decay of AdamW's and LAMB's mean of gradients.
  public var beta1 = 0.9
  /// The decay of AdamW's and LAMB's mean of squared gradients.
  public var beta2 = 0.999
  /// Keeps AdamW's and LAMB's division finite.
  public var epsilon: Double
  /// The pull of weights towards 0: coupled to the gradient in SGD, apart from it in AdamW and LAMB.
  public var weightDecay: Double

  /// The defaults of `name`: epsilon 1e-8 (LAMB 1e-6), weight decay 0.05 (SGD none).
  public init(_ name: Name) {
    self.name = name
    epsilon = name == .lamb ? 1e-6 : 1e-8
    weightDecay = name == .sgd ? 0 : 0.05
  }

  public static let sgd = OptimizerConfiguration(.sgd)
  public static let adamW = OptimizerConfiguration(.adamw)
  public static let lamb = OptimizerConfiguration(.lamb)

  /// A copy with some fields changed.
  public func with(_ change: (inout Self) -> Void) -> Self {
    var copy = self
    change(&copy)
    return copy
  }

  /// - Throws: `MingleError` naming the field whose value cannot be.
  public func validate() throws {
    try requireSetting("momentum", momentum, "0 up to 1") { 0 <= $0 && $0 < 1 }
    try requireSetting("beta1", beta1, "0 up to 1") { 0 <= $0 && $0 < 1 }
    try requireSetting("beta2", beta2, "0 up to 1") { 0 <= $0 && $0 < 1 }
    try requireSetting("epsilon", epsilon, "above 0") { 0 < $0 }
    try requireSetting("weight_decay", weightDecay, "0 or more") { 0 <= $0 }
    if name == .sgd, nesterov, momentum == 0 {
      throw MingleError(
        .usage, "nesterov needs momentum", got: "momentum 0", next: "set momentum, such as 0.9")
    }
  }

  /// The optimizer of `model`'s trainable parameters, before its first step.
  ///
  /// - Throws: `MingleError` for a setting that cannot be, or if all parameters are frozen.
  public func make(for model: any Module) throws -> any Optimizer {
    try validate()
    guard model.namedParameters.contains(where: { !$0.parameter.isFrozen }) else {
      throw MingleError(
        .usage, "there is nothing to train: all parameters are frozen", next: "freeze fewer")
    }
    switch name {
    case .sgd: return SGD(self, for: model)
    case .adamw: return AdamW(self, for: model)
    case .lamb: return LAMB(self, for: model)
    }
  }
}

extension OptimizerConfiguration {
  static var fields: [Field<OptimizerConfiguration>] {
    [
      Field("name", \.name), Field("momentum", \.momentum), Field("nesterov", \.nesterov),
      Field("beta1", \.beta1), Field("beta2", \.beta2), Field("epsilon", \.epsilon),
      Field("weight_decay", \.weightDecay),
    ]
  }

  /// The name must be there; any other key that is not keeps the default of that optimizer.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: FieldKey.self)
    self.init(try container.decode(Name.self, forKey: FieldKey(stringValue: "name")))
    try Self.fields.read(into: &self, from: decoder)
  }

  public func encode(to encoder: any Encoder) throws { try Self.fields.write(self, to: encoder) }
}

/// - Throws: `MingleError` unless `value` is finite and `isValid`.
func requireSetting(
  _ field: String, _ value: Double, _ expected: String, _ isValid: (Double) -> Bool
) throws {
  guard value.isFinite, isValid(value) else {
    throw MingleError(.usage, "\(field) is out of range", expected: expected, got: "\(value)")
  }
}
