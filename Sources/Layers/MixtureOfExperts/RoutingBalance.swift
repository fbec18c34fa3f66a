// How evenly a mixture of experts spreads its items, and the losses that make it do so:
// Riquelme et al., 2021, arXiv 2106.05974, as in Lou et al., 2021, arXiv 2109.02008.

import Torch

/// A layer that sends items to some of its experts.
public protocol BalancedRouting: Module {
  /// Where forward passes note how they spread their items; nil saves the work.
  var balances: [RoutingBalance]? { get set }
}

/// How one forward pass of one layer spread its items over N experts.
public struct RoutingBalance: Sendable {
  /// The sum over items of the router's probabilities, without noise: [N].
  public let importance: Tensor
  /// The sum over items of the probability that the expert is among an item's k best when its noise
  /// is drawn anew: `Phi(N (logit - t))` with the item's k-th largest logit `t`; [N].
  public let load: Tensor
  /// How many items took each expert.
  public internal(set) var chosenCounts: [Int] = []
  /// The losses' share in what is minimised.
  public let weight: Double

  /// - Parameters:
  ///   - logits: the router's, without noise: [M, N].
  ///   - threshold: the k-th largest logit of each item, with noise: [M, 1]; it has a gradient, too.
  init(logits: Tensor, threshold: Tensor, weight: Double) {
    importance = logits.softmax().sum([0])
    // The smoothing stays 1 / N, however strong the noise: without it there would be no gradient.
    load = expectedLoad(logits, threshold, deviation: 1 / Double(logits.shape[1]))
    self.weight = weight
  }

  /// `(deviation / mean)^2` of the importance over the experts; scalar.
  public var importanceLoss: Tensor { squaredVariation(importance) }
  /// `(deviation / mean)^2` of the load over the experts; scalar.
  public var loadLoss: Tensor { squaredVariation(load) }
  /// `weight (importanceLoss + loadLoss) / 2`; scalar.
  public var loss: Tensor { (importanceLoss + loadLoss) * (weight / 2) }
}

/// `sum over items of Phi((logit - threshold) / deviation)`: [M, N], [M, 1] -> [N].
///
/// By hand, since libtorch's gradient of `erf` takes ten passes over [M, N], and an exponential whose
/// underflow is slow.
private func expectedLoad(_ logits: Tensor, _ threshold: Tensor, deviation: Double) -> Tensor {
  let scale = 1 / (deviation * 2.0.squareRoot())
  return customFunction([logits, threshold]) { inputs in
    // Beyond 5 the error function is +-1 to single precision, and its slope 0.
    let excess = ((inputs[0] - inputs[1]).multiplyInPlace(scale)).clamped(to: -5...5)
    let load = excess.erf().addInPlace(1).sum([0]) * 0.5
    let backward: @Sendable ([Tensor?]) -> [Tensor?] = { gradients in
      guard let gradient = gradients[0] else { return [nil, nil] }
      let slope = (excess * excess).multiplyInPlace(-1).exp()
        .multiplyInPlace(gradient * (scale / Double.pi.squareRoot()))
      return [slope, -slope.sum([1], keepDimensions: true)]
    }
    return ([load], backward)
  }[0]
}

private func squaredVariation(_ x: Tensor) -> Tensor {
  let mean = x.mean()
  return (x - mean).pow(2).mean() / mean.pow(2)
}

/// The layers of a model that route items, to be watched during forward passes.
///
/// ```swift
/// let watch = RoutingWatch(model)
/// let (logits, routing) = watch.record { model.logits(images) }
/// let loss = logits.crossEntropy(labels) + (routing.loss ?? .zeros([]))
/// ```
public struct RoutingWatch {
  /// What the layers noted: one entry for each forward pass of each layer.
  public struct Record {
    public let entries: [(layer: String, balance: RoutingBalance)]
    /// The sum of all balance losses, weighted; nil for a model without experts.
    public var loss: Tensor? {
      guard let first = entries.first else { return nil }
      return entries.dropFirst().reduce(first.balance.loss) { $0 + $1.balance.loss }
    }
  }

  private let layers: [(name: String, layer: any BalancedRouting)]

  public init(_ model: any Module) {
    layers = model.namedModules.compactMap { name, module in
      (module as? any BalancedRouting).map { (name, $0) }
    }
  }

  /// The paths of the layers.
  public var names: [String] { layers.map(\.name) }

  /// Runs `forward`, in any mode, and tells how the layers spread their items in it.
  public func record<Result>(
    _ forward: () throws -> Result
  ) rethrows -> (result: Result, routing: Record) {
    for (_, layer) in layers { layer.balances = [] }
    defer { for (_, layer) in layers { layer.balances = nil } }
    let result = try forward()
    let entries = layers.flatMap { name, layer in
      (layer.balances ?? []).map { (layer: name, balance: $0) }
    }
    return (result, Record(entries: entries))
  }
}
