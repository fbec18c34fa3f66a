import Torch

/// What a call is that adds several tensors in one pass.
private struct FusedSum: Sendable {}

extension OperatorRecording.Call {
  var isFusedSum: Bool {
    guard case .custom(_, let tag) = operation else { return false }
    return tag is FusedSum
  }
}

/// Sums of several tensors, means, and copies of permuted tensors, in one pass over their memory; of what no
/// layer has taken into itself.
extension PlanGraph {
  /// Addends, and the calls that add them, the last one last.
  private struct Sum {
    var terms: [Int]
    var calls: [Int]
  }

  mutating func fuseSums() {
    // The last call of a chain comes first, and takes the whole chain.
    for index in steps.indices.reversed() {
      guard let call = call(at: index), call.isFloat32 else { continue }
      if let sum = products(at: index), sum.terms.count > 2 {
        fuse(sum) { factors in
          let starts = stride(from: 0, to: factors.count, by: 2)
          return Sums.weighted(starts.map { (factors[$0], factors[$0 + 1]) })
        }
      } else if let (sum, mean) = means(at: index) {
        fuse(sum) { Sums.means($0, mean.axes, keepDimensions: mean.keepsAxes) }
      } else if let x = call.copied, let result = call.result {
        let shape = shape(of: result)
        replace(
          index,
          with: .call(
            .custom({ [Sums.reshaped($0[0], shape)] }, [x], result, shape, isView: true)))
      }
    }
  }

  /// `a * b + c * d + ...`: x and weight of each term, one after the other.
  private func products(at index: Int) -> Sum? {
    guard let call = call(at: index) else { return nil }
    if call.isProduct, let a = call.value(0), let b = call.value(1) {
      return Sum(terms: ordered(a, b), calls: [index])
    }
    guard call.isSumWithProduct, let before = call.value(0), let a = call.value(1),
      let b = call.value(2), ![a, b].contains(before), onlyReader(of: before) == index,
      let producer = producer(of: before), var sum = products(at: producer),
      sum.terms.count < 2 * Sums.mostTerms
    else { return nil }
    sum.terms += ordered(a, b)
    sum.calls.append(index)
    return sum
  }

  /// The larger first: the other is its weight.
  private func ordered(_ a: Int, _ b: Int) -> [Int] {
    shape(of: a).reduce(1, *) >= shape(of: b).reduce(1, *) ? [a, b] : [b, a]
  }

  /// `mean(a) + mean(b) + ...` over the same dimensions of tensors of one shape.
  private func means(at index: Int) -> (sum: Sum, mean: PlanCall.Mean)? {
    guard let call = call(at: index) else { return nil }
    if let mean = call.mean { return (Sum(terms: [mean.x], calls: [index]), mean) }
    guard call.isSum, let a = means(of: call.value(0), for: index),
      let b = means(of: call.value(1), for: index), a.mean.axes == b.mean.axes,
      a.mean.keepsAxes == b.mean.keepsAxes, shape(of: a.mean.x) == shape(of: b.mean.x),
      a.sum.terms.count + b.sum.terms.count <= Sums.mostTerms
    else { return nil }
    return (
      Sum(terms: a.sum.terms + b.sum.terms, calls: a.sum.calls + b.sum.calls + [index]), a.mean
    )
  }

  /// Those that `value` consists of, if only the call at `reader` reads it.
  private func means(of value: Int?, for reader: Int) -> (sum: Sum, mean: PlanCall.Mean)? {
    guard let value, onlyReader(of: value) == reader else { return nil }
    return producer(of: value).flatMap { means(at: $0) }
  }

  /// Puts one call in the place of the sum's last.
  private mutating func fuse(_ sum: Sum, into run: @escaping @Sendable ([Tensor]) -> Tensor) {
    guard let last = sum.calls.last, let result = call(at: last)?.result else { return }
    for index in sum.calls { replace(index, with: nil) }
    replace(
      last,
      with: .call(
        .custom(
          { [run($0)] }, sum.terms, result, shape(of: result), isView: false,
          tag: sum.terms.count > 1 ? FusedSum() : nil)))
  }
}
