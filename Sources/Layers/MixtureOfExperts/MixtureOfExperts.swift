// Mixture of experts: many MLPs, of which each item takes only a few.
// Shazeer, Mirhoseini, Maziarz et al., 2017, arXiv 1701.06538; gates and balance losses as in
// Riquelme, Puigcerver, Mustafa et al., 2021, arXiv 2106.05974 (V-MoE), and in
// Lou, Xue, Zheng, You, 2021, arXiv 2109.02008 (Sparse-MLP).
//
// M items, D their dimension, N experts, k experts for each item, H an expert's hidden dimension.
//
// Every item is computed by its experts, however many others they have (no capacity, nothing is
// dropped), and the cost grows with k, not with N. The router is computed in float32, whatever the
// precision of the rest: which experts are the best must not depend on rounding.

import Torch

/// `y = sum over an item's k best experts of G_i(x) E_i(x)`: [..., D] -> [..., D].
///
/// `G = softmax(W x + noise)`, of which the k largest count as they are, without normalising them
/// again. While training, the noise is N(0, (`noise` / N)^2) for each item and expert, drawn from the
/// mode's generator; it decides choice and gates.
public final class MixtureOfExperts: ModeDependent, BalancedRouting {
  let router: Linear  // [N, D], no bias
  let experts: [MLP]  // D -> H -> D
  /// The experts that compute each item: k.
  public let topK: Int
  /// The noise's standard deviation, times N.
  public let noise: Double
  /// The share of the balance losses in what is minimised.
  public let balanceWeight: Double
  public var mode = Mode.evaluation
  public var balances: [RoutingBalance]?

  public init(
    _ dimension: Int, hidden: Int, experts count: Int, topK: Int, noise: Double = 1,
    balanceWeight: Double = 0.01, activation: Activation = .gelu, dropout: Double = 0,
    generator: Generator?
  ) {
    precondition(
      count > 0 && (1...count).contains(topK), "\(topK) of \(count) experts cannot be chosen")
    router = Linear(dimension, count, bias: nil, generator: generator)
    experts = (0..<count).map { _ in
      MLP(
        dimension, hidden: hidden, activation: activation, dropout: dropout, generator: generator)
    }
    self.topK = topK
    self.noise = noise
    self.balanceWeight = balanceWeight
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    let shape = x.shape
    let items = x.reshaped([-1, shape[shape.count - 1]])  // [M, D]
    let (chosen, gates) = withoutAutocast(on: x.device) { route(items.to(.float32)) }  // [M, k]
    let dispatch = Dispatch(chosen, experts: experts.count)
    note(dispatch)
    let outputs = dispatch.restored(compute(dispatch.sorted(items), dispatch.counts))  // [M, k, D]
    let y = topK == 1 ? outputs.squeezed(1) * gates : (outputs * gates.unsqueezed(2)).sum([1])
    return traced(y.reshaped(shape), multiplyAdds: items.shape[0] * multiplyAddsPerItem)
  }

  private var multiplyAddsPerItem: Int {
    router.weight.tensor.count
      + topK * (experts[0].fc1.weight.tensor.count + experts[0].fc2.weight.tensor.count)
  }

  /// Each expert's rows of `sorted` through the expert: [M k, D] -> [M k, D].
  private func compute(_ sorted: Tensor, _ counts: [Int]) -> Tensor {
    Trace.$current.withValue(nil) {  // this layer reports them as one
      let used = counts.indices.filter { counts[$0] > 0 }
      let slices = sorted.split(used.map { counts[$0] })
      return .concatenated(zip(used, slices).map { experts[$0]($1) })
    }
  }
}

// MARK: - Routing

extension MixtureOfExperts {
  /// The experts of each item, best first, and their gates: [M, D] -> [M, k], [M, k].
  private func route(_ items: Tensor) -> (chosen: Tensor, gates: Tensor) {
    let logits = items.linear(router.weight.tensor)  // [M, N]
    var noisy = logits
    if case .training(let generator) = mode, noise > 0 {
      let deviation = noise / Double(experts.count)
      noisy =
        logits
        + Tensor.normal(logits.shape, standardDeviation: deviation, generator: generator)
        .to(logits.device)
    }
    let (best, chosen) = noisy.topK(topK)
    if balances != nil, !Checkpointing.isRepeating {
      let threshold = best.narrowed(1, (topK - 1)..<topK)  // [M, 1]
      balances?.append(
        RoutingBalance(logits: logits, threshold: threshold, weight: balanceWeight))
    }
    return (chosen, noisy.softmax().gathered(1, chosen))
  }

  private func note(_ dispatch: Dispatch) {
    if let last = balances?.indices.last, !Checkpointing.isRepeating {
      balances?[last].chosenCounts = dispatch.counts
    }
  }
}
