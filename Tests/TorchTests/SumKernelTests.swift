import Testing
import Torch

/// Sums of permuted tensors against the operators that they stand for.
@Suite struct SumKernelTests {
  private let generator = Generator(seed: 9)

  private func normal(_ shape: [Int]) -> Tensor { .normal(shape, generator: generator) }

  private func difference(_ a: Tensor, _ b: Tensor) -> Double {
    guard a.shape == b.shape else { return .infinity }
    return (a - b).abs().max().item / max(1, b.abs().max().item)
  }

  /// Three views of one shape [B, H, W, N, S] that lie in memory in different orders.
  private func views(_ batch: Int, _ height: Int, _ width: Int, _ segments: Int, _ run: Int)
    -> [Tensor]
  {
    [
      normal([batch, height, width, segments, run]),
      normal([batch, height, segments, width, run]).permuted([0, 1, 3, 2, 4]),
      normal([batch, segments, width, height, run]).permuted([0, 3, 2, 1, 4]),
    ]
  }

  private func weighted(_ x: [Tensor], _ weights: [Tensor]) -> Tensor {
    Sums.weighted(zip(x, weights).map { ($0, $1) })
  }

  private func expected(_ x: [Tensor], _ weights: [Tensor]) -> Tensor {
    zip(x, weights).dropFirst().reduce(x[0] * weights[0]) { $0 + $1.0 * $1.1 }
  }

  nonisolated static let runs = [1, 2, 5, 6, 7, 8, 9, 13, 16, 17, 32, 40]

  @Test(arguments: [1, 3], runs)
  func permutedTermsWithWeightsOfChannels(batch: Int, run: Int) {
    let x = views(batch, 5, 7, 4, run)
    let weights = normal([3, batch, 1, 1, 4, run])
    for count in 1...3 {
      let (x, weights) = (Array(x[..<count]), (0..<count).map { weights.select(0, $0) })
      #expect(difference(weighted(x, weights), expected(x, weights)) < 1e-6)
    }
  }

  @Test(arguments: [1, 3], [(1, 1), (2, 3), (7, 7), (5, 13), (56, 56)])
  func mapsWithWeightsOfRows(batch: Int, side: (height: Int, width: Int)) {
    let x = (0..<3).map { _ in normal([batch, 9, side.height, side.width]) }
    let weights = normal([batch, 9, 3, 1]).chunked(3, dimension: 2)
    #expect(difference(weighted(x, weights), expected(x, weights)) < 1e-6)
    let cut = x.map { $0.narrowed(2, 0..<(side.height + 1) / 2) }
    #expect(difference(weighted(cut, weights), expected(cut, weights)) < 1e-6)
    for keeps in [false, true] {
      for x in [x, cut, Array(x[..<1])] {
        let means = x.map { $0.mean([2, 3], keepDimensions: keeps) }
        let sum = means.dropFirst().reduce(means[0], +)
        #expect(difference(Sums.means(x, [2, 3], keepDimensions: keeps), sum) < 1e-6)
      }
    }
  }

  @Test(arguments: [1, 3], runs)
  func meansOfPermutedTerms(batch: Int, run: Int) {
    let x = views(batch, 5, 7, 4, run)
    for axes in [[1, 2], [2], [-1], [0, 4, 1], [3], [0, 1, 2, 3, 4]] {
      let means = x.map { $0.mean(axes) }
      #expect(difference(Sums.means(x, axes), means[0] + means[1] + means[2]) < 1e-6)
    }
  }

  @Test(arguments: [1, 3], runs)
  func copiesOfPermutedTensors(batch: Int, run: Int) {
    for x in views(batch, 5, 7, 4, run) {
      let shape = [batch, 5, 7, 4 * run]
      #expect(Sums.reshaped(x, shape).equal(x.contiguous().reshaped(shape)).all().item == 1)
    }
    let inOrder = Sums.reshaped(normal([4, batch, 3]).permuted([1, 0, 2]), [batch, 4, 3])
    #expect(inOrder.strides == [12, 3, 1])
    let x = normal([batch, 6, 4])
    #expect(Sums.reshaped(x, [batch, 24]).memory == x.memory)
    for side in [2, 3, 8, 9] {
      let squares = normal([batch, 3, 2, run, side])
      for squares in [squares, squares.padded([1, 2]).narrowed(4, 1..<1 + side)] {
        let parts = squares.permuted([0, 4, 2, 1, 3])
        let shape = [batch, 6 * side, run]
        let copy = parts.contiguous().reshaped(shape)
        #expect(Sums.reshaped(parts, shape).equal(copy).all().item == 1)
      }
    }
    let turned = x.transposed(1, 2)
    #expect(
      Sums.reshaped(turned, [batch, 24]).equal(turned.reshaped([batch, 24])).all().item == 1)
  }

  /// Long sums of short lines keep their digits.
  @Test func meansOfManyShortLines() {
    let x = (normal([700, 31]) + 100).narrowed(1, 3..<18)
    let exact = x.to(.float64).mean([0, 1]).item
    #expect(abs(Sums.means([x], [0, 1]).item - exact) < 1e-6 * abs(exact))
  }

  @Test func operatorsDoWhatKernelsDoNotRead() {
    let (x, weight) = (normal([3, 5, 4]), normal([4]))
    let turned = normal([3, 4, 5]).transposed(1, 2)
    let sums = [
      ([x, turned], [weight, weight]), ([x, x], [weight, normal([5, 1])]),
      ([x, x.to(.float64)], [weight, weight]), ([normal([5, 4]), x], [weight, weight]),
      ([x, x, x, x, x], [weight, x, weight, x, weight]), ([normal([3, 5, 1]), x], [x, weight]),
    ]
    for (x, weights) in sums {
      #expect(difference(weighted(x, weights), expected(x, weights)) < 1e-6)
    }
    for x in [[turned, x], [x, x.to(.float64)], [x, x, x, x, x]] {
      let means = x.map { $0.mean([1]) }
      #expect(difference(Sums.means(x, [1]), means.dropFirst().reduce(means[0], +)) < 1e-6)
    }
    #expect(weighted([.zeros([0, 4])], [weight]).shape == [0, 4])
    #expect(Sums.means([.zeros([3, 0, 4])], [1]).isFinite().all().item == 0)
  }

  @Test(arguments: [[1, 2], [0, 1], [1], [2], [0, 2]])
  func meansOfWhatIsRepeated(_ axes: [Int]) {
    let repeated = normal([3, 1, 4]).expanded([3, 7, 4])
    let rows = normal([1, 7, 4]).expanded([3, 7, 4])
    let means = Sums.means([repeated, rows], axes)
    #expect(difference(means, repeated.mean(axes) + rows.mean(axes)) < 1e-6)
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity], [3, 11])
  func numbersThatAreNoneStayWhereTheyAre(_ number: Float, run: Int) {
    let (x, y) = (normal([4, 2, run]), normal([2, 4, run]).permuted([1, 0, 2]))
    y.narrowed(0, 1..<2).narrowed(1, 0..<1).narrowed(2, 2..<3).fillInPlace(Double(number))
    let weights = [normal([2, run]), normal([2, run])]
    let sum = weighted([x, y], weights).isFinite()
    #expect(sum.equal(expected([x, y], weights).isFinite()).all().item == 1)
    for axes in [[0], [1], [2], [0, 1]] {
      let means = Sums.means([x, y], axes).isFinite()
      #expect(means.equal((x.mean(axes) + y.mean(axes)).isFinite()).all().item == 1)
    }
    let copy = Sums.reshaped(y, [8 * run]).isFinite().to(.float32)
    #expect(copy.sum().item == Double(8 * run - 1))
  }
}
