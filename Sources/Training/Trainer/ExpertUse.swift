import Layers
import Torch

/// How a model's layers of experts spread what they were given.
public struct ExpertUse: Codable, Sendable, Equatable {
  /// One layer.
  public struct Layer: Codable, Sendable, Equatable {
    /// The layer's path in the model: "blocks.10.tokens.moe".
    public let name: String
    /// The squared variation of the importance over the experts, and of the load; unweighted.
    public internal(set) var importanceLoss: Double
    public internal(set) var loadLoss: Double
    /// The share of all choices that fell on each expert.
    public internal(set) var shares: [Double]

    public var leastUsed: Double { shares.min() ?? 0 }
    public var mostUsed: Double { shares.max() ?? 0 }

    private enum CodingKeys: String, CodingKey { case name, importanceLoss, loadLoss, shares }
    private enum DerivedKeys: String, CodingKey { case leastUsed, mostUsed }

    /// For readers of logs, also the least and the largest share.
    public func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(name, forKey: .name)
      try container.encode(importanceLoss, forKey: .importanceLoss)
      try container.encode(loadLoss, forKey: .loadLoss)
      try container.encode(shares, forKey: .shares)
      var derived = encoder.container(keyedBy: DerivedKeys.self)
      try derived.encode(leastUsed, forKey: .leastUsed)
      try derived.encode(mostUsed, forKey: .mostUsed)
    }
  }

  /// What the balance adds to the loss that is minimised.
  public internal(set) var balanceLoss: Double
  public internal(set) var layers: [Layer]

  /// The sums over the layers.
  public var importanceLoss: Double { layers.reduce(0) { $0 + $1.importanceLoss } }
  public var loadLoss: Double { layers.reduce(0) { $0 + $1.loadLoss } }
  /// The share of the expert that is used least in its layer, and of the one used most.
  public var leastUsed: Double { layers.map(\.leastUsed).min() ?? 0 }
  public var mostUsed: Double { layers.map(\.mostUsed).max() ?? 0 }

  /// The mean of this, which stands for `count` samples, and `other`, which stands for `otherCount`.
  func averaged(_ count: Int, with other: ExpertUse, _ otherCount: Int) -> ExpertUse {
    let share = Double(otherCount) / Double(max(1, count + otherCount))
    func mean(_ a: Double, _ b: Double) -> Double { a + (b - a) * share }
    var result = self
    result.balanceLoss = mean(balanceLoss, other.balanceLoss)
    for (index, layer) in zip(layers.indices, other.layers) {
      result.layers[index].importanceLoss = mean(layers[index].importanceLoss, layer.importanceLoss)
      result.layers[index].loadLoss = mean(layers[index].loadLoss, layer.loadLoss)
      result.layers[index].shares = zip(layers[index].shares, layer.shares).map(mean)
    }
    return result
  }
}

extension ExpertUse {
  /// What one forward pass noted; nil for a model without experts.
  init?(_ record: RoutingWatch.Record) {
    let entries = record.entries
    let values: [Double] = withoutGradients {
      guard let loss = record.loss else { return [] }
      let scalars = entries.flatMap { [$0.balance.importanceLoss, $0.balance.loadLoss] } + [loss]
      return Tensor.stacked(scalars).array(of: Double.self)
    }
    guard let loss = values.last else { return nil }
    balanceLoss = loss
    layers = entries.enumerated().map { index, entry in
      let counts = entry.balance.chosenCounts
      let total = Double(max(1, counts.reduce(0, +)))
      return Layer(
        name: entry.layer, importanceLoss: values[2 * index], loadLoss: values[2 * index + 1],
        shares: counts.map { Double($0) / total })
    }
  }
}

extension ExpertUse? {
  /// The mean over samples, where nil stands for none yet.
  func averaged(_ count: Int, with other: ExpertUse?, _ otherCount: Int) -> ExpertUse? {
    guard let self, let other else { return self ?? other }
    return self.averaged(count, with: other, otherCount)
  }
}
