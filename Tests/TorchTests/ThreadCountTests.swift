import TestSupport
import Testing
import Torch

/// The fused kernels share their work in different ways among threads, and each number is still computed
/// in the same order: results are equal to the bit.
@Suite @TorchActor struct ThreadCountTests {
  private let generator = Generator(seed: 13)

  private func normal(_ shape: [Int]) -> Tensor { .normal(shape, generator: generator) }

  nonisolated static let formats = [PackedWeight.Format.float32, .strassen, .bfloat16, .bytes]

  private func expectSame(_ results: [[Float]], _ comment: Comment) {
    let isWhole = results[0].allSatisfy(\.isFinite)
    let isSame = results.allSatisfy { $0 == results[0] }
    #expect(isWhole && isSame, comment)
  }

  @Test(arguments: KernelTests.sizes, formats)
  func channelMixing(
    _ size: (rows: Int, depth: Int, hidden: Int, results: Int), _ format: PackedWeight.Format
  ) {
    let x = normal([size.rows, size.depth])
    let first = (normal([size.hidden, size.depth]), normal([size.hidden]))
    let weight = normal([size.results, size.hidden > 0 ? size.hidden : size.depth])
    let shape = [size.rows, size.results]
    let (bias, gate, residual) = (normal([size.results]), normal(shape), normal(shape))
    for epsilon in [nil, 1e-5] {
      let mix = RowMix(
        epsilon: epsilon, hidden: size.hidden > 0 ? (first.0, first.1, .gelu) : nil,
        weight: weight, bias: bias, activation: .silu, format: format)
      let results = onThreads {
        let y = Tensor.full(shape, .nan)
        mix(x, gate: gate, residual: residual, into: y)
        return y.array(of: Float.self)
      }
      expectSame(results, "\(epsilon == nil ? "no norm" : "norm")")
    }
  }

  nonisolated static let columnForms =
    formats.map { ($0, false) } + formats.filter { $0 != .bytes }.map { ($0, true) }

  /// Threads take whole matrices, or share few of them: by panels, or by parts of panels, as those of the
  /// last size, which are few and have many tiles.
  @Test(arguments: KernelTests.columnSizes + [(60, 0, 130, 40)], columnForms)
  func tokenMixing(
    _ size: (tokens: Int, hidden: Int, results: Int, channels: Int),
    _ form: (format: PackedWeight.Format, isTurned: Bool)
  ) {
    let first = (normal([size.hidden, size.tokens]), normal([size.hidden]))
    let weight = normal([size.results, size.hidden > 0 ? size.hidden : size.tokens])
    let (bias, scale) = (normal([size.results]), normal([size.channels]))
    for normalization in [ColumnMix.Normalization.rows(epsilon: 1e-6), .matrices(epsilon: 1e-5)] {
      let mix = ColumnMix(
        normalization: normalization, affine: nil,
        hidden: size.hidden > 0 ? (first.0, first.1, .gelu) : nil, weight: weight, bias: bias,
        activation: .silu, resultScale: scale, format: form.format, isTurned: form.isTurned)
      for batch in [1, 3, 8] {
        let x = normal([batch, size.tokens, size.channels])
        let shape = [batch, size.results, size.channels]
        let (gate, residual) = (normal(shape), normal(shape))
        let results = onThreads {
          let y = Tensor.full(shape, .nan)
          mix(x, gate: gate, residual: residual, into: y)
          return y.array(of: Float.self)
        }
        expectSame(results, "\(normalization), \(batch) matrices")
      }
    }
  }

  @Test(arguments: columnForms)
  func movedMaps(_ form: (format: PackedWeight.Format, isTurned: Bool)) {
    var entry = ColumnMix.Entry()
    entry.affine = (normal([40]), normal([40]))
    entry.activation = .gelu
    entry.moves = MapMoves(along: .width, by: (0..<40).map { $0 % 5 - 2 })
    let mix = ColumnMix(
      normalization: .matrices(epsilon: 1e-5), affine: nil, entry: entry, hidden: nil,
      weight: normal([120, 40]), bias: nil, activation: .identity, resultScale: nil,
      format: form.format, isTurned: form.isTurned)
    for batch in [1, 3] {
      let x = normal([batch, 40, 6, 7])
      let results = onThreads {
        let y = Tensor.full([batch, 120, 6, 7], .nan)
        mix(x, gate: nil, residual: nil, into: y)
        return y.array(of: Float.self)
      }
      expectSame(results, "\(batch) maps")
    }
  }

  @Test(arguments: columnForms)
  func convolutions(_ form: (format: PackedWeight.Format, isTurned: Bool)) {
    var entry = ColumnMix.Entry()
    entry.moves = MapMoves(kernel: (3, 3), stride: (1, 1), padding: (1, 1), channels: 12)
    let mix = ColumnMix(
      normalization: .none, affine: nil, entry: entry, hidden: nil, weight: normal([50, 108]),
      bias: nil, activation: .relu, resultScale: nil, format: form.format, isTurned: form.isTurned)
    for batch in [1, 3] {
      let x = normal([batch, 12, 9, 7])
      let results = onThreads {
        let y = Tensor.full([batch, 50, 9, 7], .nan)
        mix(x, gate: nil, residual: nil, into: y)
        return y.array(of: Float.self)
      }
      expectSame(results, "\(batch) maps")
    }
  }

  /// Short rows are written beyond their ends, where another thread may be.
  @Test(arguments: [(7, 7), (5, 3), (20, 18)])
  func windowsOfMaps(height: Int, width: Int) {
    let windows = MapWindows(
      .sum(weight: normal([31, 1, 3, 3]), bias: normal([31])), window: (3, 3), stride: 1,
      padding: (1, 1), activation: .silu)
    for batch in [1, 3] {
      let x = normal([batch, 31, height, width])
      let results = onThreads {
        let y = Tensor.full(x.shape, .nan)
        windows(x, into: y)
        return y.array(of: Float.self)
      }
      expectSame(results, "\(batch) maps")
    }
  }

  @Test func attention() {
    let attention = FusedAttention(bias: normal([3, 50, 60]))
    for batch in [1, 2, 9] {
      let (q, k) = (normal([batch, 3, 50, 16]), normal([batch, 3, 60, 16]))
      let v = normal([batch, 3, 60, 20])
      expectSame(onThreads { attention(q, k, v).array(of: Float.self) }, "\(batch) samples")
    }
  }

  @Test func normsOfMaps() {
    let norm = MapNorm(epsilon: 1e-5, gain: normal([70]), shift: nil, activation: .gelu)
    for batch in [1, 3, 8] {
      let x = normal([batch, 70, 20, 11])
      let results = onThreads {
        let y = Tensor.full(x.shape, .nan)
        norm(x, into: y)
        return y.array(of: Float.self)
      }
      expectSame(results, "\(batch) maps")
    }
  }
}
