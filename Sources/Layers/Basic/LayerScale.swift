import Torch

/// `y = gamma * x` for each channel, the last dimension: [..., C] -> [..., C] (Touvron et al. 2021,
/// arXiv 2103.17239). `gamma` starts at a small number, so that a deep network begins near the
/// identity.
///
/// Its key is the layer's own, as in ResMLP's public code: `ls1`, not `ls1.gamma`.
public final class LayerScale: ModuleWithEntries {
  public let gamma: Parameter  // [C]

  package var ownEntries: [(key: String, entry: ModuleEntry)] { [("", .parameter(gamma))] }

  public init(_ dimension: Int, start: Double) {
    gamma = Parameter(.full([dimension], start))
  }

  public func callAsFunction(_ x: Tensor) -> Tensor { traced(gamma.tensor * x) }
}
