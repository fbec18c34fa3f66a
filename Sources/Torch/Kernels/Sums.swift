import CTorch

/// Sums of the CPU's float32 tensors, each read where it lies. What the kernels do not read, operators of
/// libtorch compute. Without gradients.
package enum Sums {
  /// So many terms are added in one pass.
  package static let mostTerms = Int(CT_MOST_TERMS)

  /// The sum of `x * weight`, of shapes that broadcast, over the terms.
  package static func weighted(_ terms: [(x: Tensor, weight: Tensor)]) -> Tensor {
    let x = terms.map { Optional($0.x.pointer) }
    let weights = terms.map { Optional($0.weight.pointer) }
    return runKernel("weighted sum", terms) { ct_weighted_sum(x, weights, Int32(x.count), &$0) }
  }

  /// The sum of the means of tensors of one shape over `dimensions`.
  package static func means(
    _ terms: [Tensor], _ dimensions: [Int], keepDimensions: Bool = false
  ) -> Tensor {
    let x = terms.map { Optional($0.pointer) }
    return runKernel("sum of means", terms) { result in
      dimensions.withSizes {
        ct_sum_of_means(x, Int32(x.count), $0, $1, keepDimensions ? 1 : 0, &result)
      }
    }
  }

  /// The elements of `x` in row-major order; in its memory where it is contiguous.
  package static func reshaped(_ x: Tensor, _ shape: [Int]) -> Tensor {
    runKernel("reshape", x) { result in shape.withSizes { ct_reshape(x.pointer, $0, $1, &result) } }
  }
}
