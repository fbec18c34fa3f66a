import Mingle

/// The best rate at which this machine multiplies large square matrices, in operations per second
/// (two for each multiply-add): what a network's products can reach at most.
func productCeiling(_ precision: Precision) -> Double {
  let generator = Generator(seed: 1)
  let rates = [1024, 2048].map { side in
    let factor = Tensor.normal([side, side], generator: generator)
      .to(precision.autocast ?? .float32)
    let product = { withoutGradients { factor.matmul(factor) } }
    _ = product()
    let fastest = (0..<5).map { _ in elapsed(product).seconds }.min() ?? .infinity
    return 2 * Double(side) * Double(side) * Double(side) / fastest
  }
  return rates.max() ?? 0
}
