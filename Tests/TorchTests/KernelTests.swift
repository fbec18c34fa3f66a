import Testing
import Torch

/// The fused kernels against the operators that they stand for.
@Suite struct KernelTests {
  private let generator = Generator(seed: 7)

  private func normal(_ shape: [Int], scale: Double = 1) -> Tensor {
    .normal(shape, standardDeviation: scale, generator: generator)
  }

  private func difference(_ a: Tensor, _ b: Tensor) -> Double {
    (a - b).abs().max().item / max(1, b.abs().max().item)
  }

  /// Rows, depth, hidden width, results: among them sizes that fill neither tiles nor panels.
  nonisolated static let sizes = [
    (1, 1, 0, 1), (7, 13, 0, 33), (49, 33, 0, 16), (29, 130, 0, 31), (15, 400, 0, 65),
    (3, 5, 7, 2), (49, 31, 100, 33), (200, 48, 500, 48), (14, 800, 390, 17),
    (5, 300, 0, 550), (5, 270, 530, 550),
  ]

  /// Those that compute in float32.
  nonisolated static let formats = [PackedWeight.Format.float32, .strassen]

  @Test(arguments: sizes, formats)
  func channelMixing(
    _ size: (rows: Int, depth: Int, hidden: Int, results: Int), _ format: PackedWeight.Format
  ) {
    let (rows, depth, hidden, results) = size
    let x = normal([rows, depth], scale: 3)
    let first = (normal([hidden, depth], scale: 0.3), normal([hidden]))
    let weight = normal([results, hidden > 0 ? hidden : depth], scale: 0.3)
    let bias = normal([results])
    let (gate, residual) = (normal([rows, results]), normal([rows, results]))
    for epsilon in [nil, 1e-5] {
      let mix = RowMix(
        epsilon: epsilon, hidden: hidden > 0 ? (first.0, first.1, .gelu) : nil, weight: weight,
        bias: bias, activation: .silu, format: format)
      let y = Tensor.full([rows, results], .nan)
      mix(x, gate: gate, residual: residual, into: y)
      var expected = epsilon.map { x.layerNorm(nil, nil, epsilon: $0) } ?? x
      if hidden > 0 { expected = expected.linear(first.0, first.1).gelu() }
      expected = expected.linear(weight, bias).silu() * gate + residual
      #expect(difference(y, expected) < 2e-5)
    }
  }

  @Test func channelMixingReadsAndWritesParts() {
    let all = normal([2, 9, 60])
    let (left, right) = (all.narrowed(2, 0..<30), all.narrowed(2, 30..<60))
    let weight = normal([30, 30])
    let expected = left + right.linear(weight)
    let mix = RowMix(epsilon: nil, hidden: nil, weight: weight, bias: nil, activation: .identity)
    mix(right, gate: nil, residual: left, into: left)
    #expect(difference(left, expected) < 2e-6)
    #expect(!RowMix.accepts(all.transposed(1, 2)))
  }

  /// Tokens, hidden width, results, channels.
  nonisolated static let columnSizes = [
    (1, 0, 1, 1), (13, 0, 7, 33), (49, 0, 49, 50), (196, 0, 30, 40), (500, 0, 15, 16),
    (7, 3, 5, 2), (49, 20, 49, 96), (90, 410, 14, 31),
    (60, 30, 130, 232), (801, 0, 15, 40), (20, 801, 130, 40),
    (300, 0, 550, 40), (270, 530, 550, 40),
  ]

  /// How columns are multiplied, in float32.
  nonisolated static let columnForms = formats.flatMap { [($0, false), ($0, true)] }

  @Test(arguments: columnSizes, columnForms)
  func tokenMixing(
    _ size: (tokens: Int, hidden: Int, results: Int, channels: Int),
    _ form: (format: PackedWeight.Format, isTurned: Bool)
  ) {
    let (tokens, hidden, results, channels) = size
    for batch in [1, 3] {
      let x = normal([batch, tokens, channels], scale: 2) + 0.5
      let first = (normal([hidden, tokens], scale: 0.3), normal([hidden]))
      let weight = normal([results, hidden > 0 ? hidden : tokens], scale: 0.3)
      let (bias, scale) = (normal([results]), normal([channels]))
      let affine = (normal([channels]), normal([channels]))
      let gate = normal([batch, results, channels])
      let residual = normal([batch, results, channels])
      let mix = ColumnMix(
        normalization: .rows(epsilon: 1e-6), affine: affine,
        hidden: hidden > 0 ? (first.0, first.1, .geluTanh) : nil, weight: weight, bias: bias,
        activation: .relu, resultScale: scale, format: form.format, isTurned: form.isTurned)
      let y = Tensor.full([batch, results, channels], .nan)
      mix(x, gate: gate, residual: residual, into: y)
      var expected = x.layerNorm(affine.0, affine.1, epsilon: 1e-6)
      if hidden > 0 { expected = expected.rowLinear(first.0, first.1).gelu(approximate: true) }
      expected = expected.rowLinear(weight, bias).relu() * scale * gate + residual
      #expect(difference(y, expected) < 3e-5)
    }
  }

  /// Maps of one position, and such as take part of one run of numbers, several, and rows each of their own.
  nonisolated static let maps = [(10, 5, 7), (3, 1, 1), (96, 7, 7), (70, 15, 9), (5, 90, 50)]

  @Test(arguments: maps, columnForms)
  func tokenMixingNormalizesMaps(
    _ map: (channels: Int, height: Int, width: Int),
    _ form: (format: PackedWeight.Format, isTurned: Bool)
  ) {
    let (channels, height, width) = map
    let whole = normal([2, channels + 3, height, width], scale: 4) + 3
    let weight = normal([6, channels])
    let mix = ColumnMix(
      normalization: .matrices(epsilon: 1e-5), affine: nil, hidden: nil, weight: weight, bias: nil,
      activation: .identity, resultScale: nil, format: form.format, isTurned: form.isTurned)
    let parts = [
      whole.narrowed(1, 0..<channels), whole.narrowed(1, 3..<channels + 3).contiguous(),
      whole.narrowed(1, 0..<channels).narrowed(2, 0..<(height + 1) / 2),
    ]
    for x in parts {
      let y = Tensor.full([2, 6] + x.shape[2...], .nan)
      mix(x, gate: nil, residual: nil, into: y)
      let normalized = x.groupNorm(nil, nil, groups: 1, epsilon: 1e-5)
      let expected = normalized.flattened(from: 2).rowLinear(weight).reshaped(y.shape)
      #expect(difference(y, expected) < 1e-5)
    }
  }

  @Test(arguments: maps, [KernelActivation.identity, .gelu])
  func normsOfMaps(
    _ map: (channels: Int, height: Int, width: Int), _ activation: KernelActivation
  ) {
    let (channels, height, width) = map
    let whole = normal([3, channels + 2, height, width], scale: 4) + 30
    for count in [1, 3] {
      let part = whole.narrowed(0, 0..<count).narrowed(1, 1..<channels + 1)
      for x in [part, part.narrowed(2, 0..<(height + 1) / 2)] {
        expectNorm(of: x, activation)
      }
    }
  }

  private func expectNorm(of x: Tensor, _ activation: KernelActivation) {
    let channels = x.shape[1]
    for (gain, shift) in [(nil, nil), (normal([channels]), normal([channels]))] {
      let y = Tensor.full(x.shape, .nan)
      MapNorm(epsilon: 1e-5, gain: gain, shift: shift, activation: activation)(x, into: y)
      let expected = x.groupNorm(gain, shift, groups: 1, epsilon: 1e-5)
      #expect(difference(y, activation == .gelu ? expected.gelu() : expected) < 1e-5)
    }
  }

  /// What is mixed, the gate, the residual and the results may be parts of others.
  @Test(arguments: columnForms)
  func tokenMixingReadsAndWritesParts(_ form: (format: PackedWeight.Format, isTurned: Bool)) {
    let (x, gate, residual) = (normal([3, 25, 7]), normal([3, 60, 7]), normal([3, 90, 7]))
    let (weight, all) = (normal([40, 20]), Tensor.full([3, 50, 7], .nan))
    let parts = (
      x: x.narrowed(1, 2..<22), gate: gate.narrowed(1, 5..<45),
      residual: residual.narrowed(1, 9..<49)
    )
    ColumnMix(
      normalization: .none, affine: nil, hidden: nil, weight: weight, bias: nil,
      activation: .identity, resultScale: nil, format: form.format, isTurned: form.isTurned
    )(parts.x, gate: parts.gate, residual: parts.residual, into: all.narrowed(1, 4..<44))
    let expected = parts.x.rowLinear(weight) * parts.gate + parts.residual
    #expect(difference(all.narrowed(1, 4..<44), expected) < 1e-5)
    #expect(all.isFinite().to(.float32).sum().item == 3 * 40 * 7)
  }

  /// Strassen's products add columns to one another: what is computed behind the last of them, which a token
  /// without deviation makes large, must not get into them.
  @Test(arguments: [28, 49, 56, 60, 90, 120], columnForms)
  func tokensWithoutDeviation(
    channels: Int, _ form: (format: PackedWeight.Format, isTurned: Bool)
  ) {
    let x = normal([1, 32, channels])
    x.narrowed(1, 5..<6).fillInPlace(10)
    let (weight, y) = (normal([24, 32]), Tensor.full([1, 24, channels], .nan))
    let mix = ColumnMix(
      normalization: .rows(epsilon: 1e-5), affine: nil, hidden: nil, weight: weight, bias: nil,
      activation: .identity, resultScale: nil, format: form.format, isTurned: form.isTurned)
    mix(x, gate: nil, residual: nil, into: y)
    let expected = x.to(.float64).layerNorm(nil, nil, epsilon: 1e-5).rowLinear(weight.to(.float64))
    #expect(difference(y.to(.float64), expected) < 3e-6)
  }

  /// Norm, affine, activation and a move by rows of different length, on maps whose positions fill no
  /// panel, one (half) or several.
  @Test(arguments: [MapMoves.Axis.height, .width], [(5, 7), (1, 3), (2, 4), (7, 7), (9, 20)])
  func tokenMixingMovesMaps(_ axis: MapMoves.Axis, _ side: (height: Int, width: Int)) {
    for (format, isTurned) in Self.columnForms { expectMoves(axis, side, format, isTurned) }
  }

  private func expectMoves(
    _ axis: MapMoves.Axis, _ side: (height: Int, width: Int), _ format: PackedWeight.Format,
    _ isTurned: Bool
  ) {
    let offsets = [-3, -1, 0, 1, 2, 25, -25, 2, 0]
    let x = normal([2, 9, side.height, side.width], scale: 2) + 1
    let (weight, bias) = (normal([6, 9]), normal([6]))
    let (scale, shift) = (normal([9]), normal([9]))
    var entry = ColumnMix.Entry()
    entry.affine = (scale, shift)
    entry.activation = .gelu
    entry.moves = MapMoves(along: axis, by: offsets)
    let mix = ColumnMix(
      normalization: .matrices(epsilon: 1e-5), affine: nil, entry: entry, hidden: nil,
      weight: weight, bias: bias, activation: .identity, resultScale: nil, format: format,
      isTurned: isTurned)
    let y = Tensor.full([2, 6, side.height, side.width], .nan)
    mix(x, gate: nil, residual: nil, into: y)
    let z = x.groupNorm(scale, shift, groups: 1, epsilon: 1e-5).gelu()
    let moved = Tensor.zeros(z.shape)
    let (dimension, length) = axis == .height ? (2, side.height) : (3, side.width)
    for (row, offset) in offsets.enumerated() where abs(offset) < length {
      let target = max(0, offset)..<length + min(0, offset)
      moved.narrowed(1, row..<row + 1).narrowed(dimension, target).copyInPlace(
        z.narrowed(1, row..<row + 1)
          .narrowed(dimension, target.lowerBound - offset..<target.upperBound - offset))
    }
    let expected = moved.flattened(from: 2).rowLinear(weight, bias).reshaped(y.shape)
    #expect(difference(y, expected) < 2e-5)
  }

  /// A convolution, what follows it, and a residual, on maps whose positions fill no panel, one or several; what lies
  /// behind the map's ends is not read, nor added where it is no number.
  @Test(arguments: [(3, 3), (1, 5), (7, 7), (4, 2)], [(1, 1), (5, 7), (7, 7), (2, 30), (20, 9)])
  func convolutions(
    _ kernel: (height: Int, width: Int), _ side: (height: Int, width: Int)
  ) {
    let channels = 5, padding = (height: kernel.height / 2, width: kernel.width / 2)
    let weight = normal([9, channels, kernel.height, kernel.width], scale: 0.3)
    let bias = normal([9])
    let whole = Tensor.full([2, channels + 2, side.height, side.width], .nan)
    let x = whole.narrowed(1, 1..<channels + 1)
    x.copyInPlace(normal(x.shape))
    let z = x.contiguous().convolution(
      weight, bias, padding: (padding.height, padding.width)
    ).narrowed(2, 0..<side.height).narrowed(3, 0..<side.width)
    let residual = normal(z.shape)
    let expected = (z.gelu() + residual).relu()
    var entry = ColumnMix.Entry()
    entry.moves = MapMoves(kernel: kernel, stride: (1, 1), padding: padding, channels: channels)
    for (format, isTurned) in Self.columnForms {
      let mix = ColumnMix(
        normalization: .none, affine: nil, entry: entry, hidden: nil,
        weight: weight.reshaped([9, -1]), bias: bias, activation: .gelu, resultScale: nil,
        sumActivation: .relu, format: format, isTurned: isTurned)
      let y = Tensor.full(z.shape, .nan)
      mix(x, gate: nil, residual: residual, into: y)
      #expect(difference(y, expected) < 1e-5, "\(format) \(isTurned)")
    }
  }

  /// Kernels of 3x3 by minimal filtering, of maps that squares fill and that they do not, fewer of them than a panel
  /// has and more; of several maps, and of more channels than a product takes at once. The residual is where results go.
  @Test(
    arguments: [2, 4],
    [
      (1, 1, 1, 1, 1), (2, 3, 4, 1, 20), (2, 3, 4, 20, 1), (3, 5, 9, 7, 7), (1, 3, 70, 33, 18),
      (2, 400, 7, 6, 9), (9, 64, 64, 14, 13),
    ])
  func minimalFiltering(
    side: Int, _ size: (maps: Int, channels: Int, rows: Int, height: Int, width: Int)
  ) {
    let weight = normal([size.rows, size.channels, 3, 3], scale: 0.1), bias = normal([size.rows])
    let whole = Tensor.full([size.maps, size.channels + 2, size.height, size.width], .nan)
    let x = whole.narrowed(1, 1..<size.channels + 1)
    x.copyInPlace(normal(x.shape))
    let z = x.contiguous().convolution(weight, bias, padding: (1, 1))
    let (gate, y) = (normal(z.shape), normal(z.shape))
    let expected = (z.gelu() * gate + y).relu()
    var entry = ColumnMix.Entry()
    entry.moves = MapMoves(
      kernel: (3, 3), stride: (1, 1), padding: (1, 1), channels: size.channels)
    let mix = ColumnMix(
      normalization: .none, affine: nil, entry: entry, hidden: nil,
      weight: weight.reshaped([size.rows, -1]), bias: bias, activation: .gelu, resultScale: nil,
      sumActivation: .relu, format: .winograd(side: side))
    mix(x, gate: gate, residual: y, into: y)
    #expect(difference(y, expected) < 1e-5)
  }

  /// Runs of all lengths, and numbers one by one.
  @Test(arguments: [1, 5, 6, 7, 40])
  func gathering(length: Int) {
    let x = normal([3, 7, 40])
    let order = normal([21 * (40 / length)]).array(of: Float.self).enumerated()
      .sorted { $0.element < $1.element }.map(\.offset)
    let places = (order + order.prefix(3)).flatMap { run in
      let start = run / (40 / length) * 40 + run % (40 / length) * length
      return (start..<start + length).map { Int32($0) }
    }
    let y = Tensor.full([places.count], .nan)
    Gather(places, of: [3, 7, 40])(x, into: y)
    let expected = x.flattened().indexSelect(
      0, Tensor(places.map { Int64($0) }, shape: [places.count]))
    #expect(difference(y, expected) == 0)
  }

  /// Depthwise convolutions and largest numbers, of maps from one position to several registers wide.
  @Test(arguments: [1, 2, 3], [(1, 1), (3, 3), (5, 5), (2, 4)])
  func windowsOfMaps(stride: Int, _ window: (height: Int, width: Int)) {
    let (weight, bias) = (normal([7, 1, window.height, window.width]), normal([7]))
    let padding = (top: window.height / 2, left: window.width / 2)
    for side in [[1, 1], [7, 7], [3, 14], [14, 9], [40, 56], [9, 33]]
    where side[0] + 2 * padding.top >= window.height && side[1] + 2 * padding.left >= window.width {
      let whole = Tensor.full([3, 9] + side, .nan)
      let x = whole.narrowed(1, 1..<8)
      x.copyInPlace(normal(x.shape))
      let sums = x.contiguous().convolution(
        weight, bias, stride: (stride, stride), padding: (padding.top, padding.left), groups: 7)
      for (content, expected) in [
        (MapWindows.Content.sum(weight: weight, bias: bias), sums.silu()),
        (.sum(weight: weight, bias: nil), (sums - bias.reshaped([7, 1, 1])).silu()),
      ] {
        let y = Tensor.full(sums.shape, .nan)
        MapWindows(
          content, window: window, stride: stride, padding: padding, activation: .silu
        )(x, into: y)
        #expect(difference(y, expected) < 1e-5, "\(side)")
      }
      guard window.height == window.width else { continue }
      let expected = x.contiguous().maxPooled(window.height, stride: stride, padding: padding.top)
      let y = Tensor.full(expected.shape, .nan)
      MapWindows(.maximum, window: window, stride: stride, padding: padding)(x, into: y)
      #expect(difference(y, expected) == 0, "\(side)")
    }
  }

  @Test func largestNumberIsNoneWhereOneIsNone() {
    let x = normal([1, 1, 6, 6])
    x.narrowed(2, 2..<3).narrowed(3, 3..<4).fillInPlace(.nan)
    let y = Tensor.zeros([1, 1, 3, 3])
    MapWindows(.maximum, window: (3, 3), stride: 2, padding: (1, 1))(x, into: y)
    #expect(
      y.isFinite().array(of: Bool.self)
        == [true, true, true, true, false, false, true, true, true])
  }

  /// Queries, keys, and numbers of each in a head; with scores of any size, and where some keys do not count.
  @Test(arguments: [(1, 1, 1), (49, 49, 32), (197, 197, 64), (5, 70, 7), (18, 3, 33)])
  func attention(_ size: (queries: Int, keys: Int, width: Int)) {
    let heads = 3, width = heads * size.width
    func split(_ x: Tensor) -> Tensor {
      x.reshaped([2, x.shape[1], heads, size.width]).transposed(1, 2)
    }
    let q = split(normal([2, size.queries, width], scale: 5))
    let both = normal([2, size.keys, 2 * width])
    let k = split(both.narrowed(2, 0..<width)), v = split(both.narrowed(2, width..<2 * width))
    let some = normal([2, 1, size.queries, size.keys], scale: 3)
    some.narrowed(3, 0..<size.keys / 2).fillInPlace(-.infinity)
    for mask in [nil, normal([heads, size.queries, size.keys], scale: 3), some] {
      let y = FusedAttention(bias: mask)(q, k, v)
      let exact = q.to(.float64).attention(
        k.to(.float64), v.to(.float64), mask: mask?.to(.float64))
      #expect(difference(y.to(.float64), exact) < 5e-6)
      #expect(y.transposed(1, 2).isContiguous)
    }
    // What the kernel does not read.
    let turned = v.transposed(2, 3).contiguous().transposed(2, 3)
    #expect(
      difference(FusedAttention(bias: some)(q, k, turned), q.attention(k, v, mask: some)) < 1e-5)
  }

  /// A query's scores that are none make its results none, and no others.
  @Test func attentionToWhatIsNoNumber() {
    let (q, k, v) = (normal([1, 1, 20, 8]), normal([1, 1, 20, 8]), normal([1, 1, 20, 4]))
    q.narrowed(2, 17..<18).fillInPlace(.nan)
    let isNumber = FusedAttention(bias: nil)(q, k, v).isFinite().array(of: Bool.self)
    #expect(isNumber == (0..<80).map { $0 / 4 != 17 })
  }

  /// Where no key counts, results are zeros; an infinite score, as of an overflow, makes them none.
  @Test func attentionToInfiniteScores() {
    let (q, k, v) = (normal([1, 1, 3, 8]), normal([1, 1, 5, 8]), normal([1, 1, 5, 4]))
    let mask = normal([3, 5])
    mask.narrowed(0, 0..<1).fillInPlace(-.infinity)
    mask.narrowed(0, 1..<2).narrowed(1, 2..<3).fillInPlace(.infinity)
    let y = FusedAttention(bias: mask)(q, k, v).contiguous().array(of: Float.self)
    #expect(Array(y[0..<4]) == [0, 0, 0, 0])
    #expect(y[4..<8].filter(\.isNaN).count == 4)
    #expect(y[8..<12].filter(\.isFinite).count == 4)
  }

  /// Strassen's sums cost about a bit, one level deep.
  @Test func strassensErrorsAreNearlyThoseOfFloat32() {
    let (x, weight) = (normal([128, 512]), normal([96, 512]))
    let exact = x.to(.float64).linear(weight.to(.float64))
    let errors = Self.formats.map { format in
      let y = Tensor.empty([128, 96])
      RowMix(
        epsilon: nil, hidden: nil, weight: weight, bias: nil, activation: .identity, format: format
      )(x, gate: nil, residual: nil, into: y)
      return (y.to(.float64) - exact).norm().item / exact.norm().item
    }
    #expect(errors[0] < 3e-7 && errors[1] < 2.5 * errors[0], "\(errors)")
  }

  @Test(arguments: [KernelActivation.gelu, .geluTanh, .relu, .silu])
  func activationsHoldForAllNumbers(_ activation: KernelActivation) {
    let numbers = (-400...400).map { Float($0) / 16 } + [1e4, -1e4, 1e-30, -1e-30, 0]
    let x = Tensor(numbers, shape: [numbers.count, 1])
    let mix = RowMix(
      epsilon: nil, hidden: nil, weight: .ones([1, 1]), bias: nil, activation: activation)
    let y = Tensor.empty([numbers.count, 1])
    mix(x, gate: nil, residual: nil, into: y)
    let expected =
      switch activation {
      case .gelu: x.gelu()
      case .geluTanh: x.gelu(approximate: true)
      case .relu: x.relu()
      default: x.silu()
      }
    let errors = (y - expected).abs() - expected.abs() * 1e-6
    #expect(errors.max().item < 1e-6)
  }

  /// GELU within 5e-7, but for the rounding of large results.
  @Test func geluIsExact() {
    let numbers = (-8192...8192).map { Float($0) / 1024 } + [-1e30, -100, -8.5, 8.5, 100]
    let x = Tensor(numbers, shape: [numbers.count, 1])
    let mix = RowMix(
      epsilon: nil, hidden: nil, weight: .ones([1, 1]), bias: nil, activation: .gelu)
    let y = Tensor.empty([numbers.count, 1])
    mix(x, gate: nil, residual: nil, into: y)
    let expected = x.to(.float64).gelu()
    let errors = (y.to(.float64) - expected).abs() - expected.relu() * 0x1p-24
    #expect(errors.max().item < 5e-7)
  }

  @Test(arguments: [KernelActivation.identity, .gelu, .geluTanh, .relu, .silu])
  func notANumberStaysOne(_ activation: KernelActivation) {
    let x = Tensor([Float.nan, 1, 2], shape: [3, 1])
    let mix = RowMix(
      epsilon: nil, hidden: nil, weight: .ones([1, 1]), bias: nil, activation: activation)
    let y = Tensor.zeros([3, 1])
    mix(x, gate: nil, residual: nil, into: y)
    let isNumber = y.isFinite().array(of: Bool.self)
    #expect(isNumber == [false, true, true])
  }

  @Test(arguments: [Float.nan, .infinity], [PackedWeight.Format.bytes, .bfloat16])
  func numbersThatAreNoneStayNone(_ number: Float, _ format: PackedWeight.Format) {
    let x = Tensor([number, 1, 2, 3, 4, 5], shape: [1, 2, 3])
    let rows = Tensor.zeros([2, 2])
    RowMix(
      epsilon: nil, hidden: nil, weight: .ones([2, 3]), bias: nil, activation: .identity,
      format: format
    )(x.reshaped([2, 3]), gate: nil, residual: nil, into: rows)
    #expect(rows.isFinite().array(of: Bool.self) == [false, false, true, true])
    for isTurned in format == .bytes ? [false] : [false, true] {
      let columns = Tensor.zeros([1, 2, 3])
      ColumnMix(
        normalization: .none, affine: nil, hidden: nil, weight: .ones([2, 2]), bias: nil,
        activation: .identity, resultScale: nil, format: format, isTurned: isTurned
      )(x, gate: nil, residual: nil, into: columns)
      #expect(columns.isFinite().array(of: Bool.self) == [false, true, true, false, true, true])
    }
  }

  /// Which is why plans look for such rows, and compute samples apart then.
  @Test func strassenGivesWhatIsNoNumberToOtherRows() {
    let x = Tensor([1, 2, 3, 4, Float.nan, 5], shape: [2, 3])
    let mix = RowMix(
      epsilon: nil, hidden: nil, weight: .ones([2, 3]), bias: nil, activation: .identity,
      format: .strassen)
    let y = Tensor.zeros([2, 2])
    mix(x, gate: nil, residual: nil, into: y)
    #expect(mix.addsRows)
    #expect(y.isFinite().array(of: Bool.self) == [false, false, false, false])
    let turned = ColumnMix(
      normalization: .none, affine: nil, hidden: nil, weight: .ones([2, 3]), bias: nil,
      activation: .identity, resultScale: nil, format: .strassen, isTurned: true)
    let z = Tensor.zeros([2, 2, 1])
    turned(x.reshaped([2, 3, 1]), gate: nil, residual: nil, into: z)
    #expect(turned.addsMatrices)
    #expect(z.isFinite().array(of: Bool.self) == [false, false, false, false])
  }

  @Test(arguments: sizes)
  func channelMixingInBytes(rows: Int, depth: Int, hidden: Int, results: Int) {
    let x = normal([rows, depth])
    let first = (normal([hidden, depth]), normal([hidden]))
    let weight = normal([results, hidden > 0 ? hidden : depth])
    let (exact, bytes) = (Tensor.empty([rows, results]), Tensor.empty([rows, results]))
    for (format, y) in [(PackedWeight.Format.float32, exact), (.bytes, bytes)] {
      let mix = RowMix(
        epsilon: nil, hidden: hidden > 0 ? (first.0, first.1, .gelu) : nil, weight: weight,
        bias: nil, activation: .identity, format: format)
      mix(x, gate: nil, residual: nil, into: y)
    }
    #expect((exact - bytes).norm().item <= 0.03 * exact.norm().item + 1e-6)
  }

  @Test(arguments: columnSizes)
  func tokenMixingInBytes(tokens: Int, hidden: Int, results: Int, channels: Int) {
    let x = normal([2, tokens, channels])
    let first = (normal([hidden, tokens]), normal([hidden]))
    let weight = normal([results, hidden > 0 ? hidden : tokens])
    let shape = [2, results, channels]
    let (exact, bytes) = (Tensor.empty(shape), Tensor.empty(shape))
    for (format, y) in [(PackedWeight.Format.float32, exact), (.bytes, bytes)] {
      let mix = ColumnMix(
        normalization: .none, affine: nil,
        hidden: hidden > 0 ? (first.0, first.1, .gelu) : nil, weight: weight, bias: nil,
        activation: .identity, resultScale: nil, format: format)
      mix(x, gate: nil, residual: nil, into: y)
    }
    #expect((exact - bytes).norm().item <= 0.03 * exact.norm().item + 1e-6)
  }

  @Test(arguments: [3, 8, 15, 384, 700])
  func largestBytesAddUpWithoutOverflow(depth: Int) {
    // All numbers at the end of their range, all weights the row's largest.
    let x = Tensor.ones([13, depth])
    x.narrowed(1, 0..<1).copyInPlace(.full([1], 0))
    let weight = Tensor.concatenated([Tensor.ones([20, depth]), -Tensor.ones([13, depth])])
    let (rows, columns) = (Tensor.empty([13, 33]), Tensor.empty([1, 33, 13]))
    RowMix(
      epsilon: nil, hidden: nil, weight: weight, bias: nil, activation: .identity, format: .bytes
    )(x, gate: nil, residual: nil, into: rows)
    ColumnMix(
      normalization: .none, affine: nil, hidden: nil, weight: weight, bias: nil,
      activation: .identity, resultScale: nil, format: .bytes
    )(
      x.transposed(0, 1).contiguous().reshaped([1, depth, 13]), gate: nil, residual: nil,
      into: columns)
    let exact = x.linear(weight)
    for y in [rows, columns.select(0, 0).transposed(0, 1)] {
      #expect((y - exact).abs().max().item <= 0.01 * Double(depth))
    }
  }

  // MARK: Known ranges

  /// [rows, depth], of which each group of each row spans the range.
  private func spanning(_ range: ActivationRange, _ rows: Int, _ depth: Int) -> Tensor {
    let (low, high) = (Double(range.low), Double(range.high))
    let x = normal([rows, depth], scale: high - low).clamped(to: low...high)
    for start in stride(from: 0, to: depth, by: 384) {
      x.narrowed(1, start..<start + 1).copyInPlace(.full([1], low))
      x.narrowed(1, start + 1..<start + 2).copyInPlace(.full([1], high))
    }
    return x
  }

  private func layers(_ depth: Int, _ results: Int) -> (rows: RowMix, columns: ColumnMix) {
    let (weight, bias) = (normal([results, depth]), normal([results]))
    return (
      RowMix(
        epsilon: nil, hidden: nil, weight: weight, bias: bias, activation: .gelu, format: .bytes),
      ColumnMix(
        normalization: .none, affine: nil, hidden: nil, weight: weight, bias: bias,
        activation: .gelu, resultScale: nil, format: .bytes)
    )
  }

  private func results(
    of mixes: (rows: RowMix, columns: ColumnMix), on x: Tensor, _ count: Int,
    _ ranges: ActivationRanges
  ) -> (rows: Tensor, columns: Tensor) {
    let (rows, depth) = (x.shape[0], x.shape[1])
    let results = (
      rows: Tensor.full([rows, count], .nan), columns: Tensor.full([1, count, rows], .nan)
    )
    mixes.rows.taking(ranges)(x, gate: nil, residual: nil, into: results.rows)
    mixes.columns.taking(ranges)(
      x.transposed(0, 1).contiguous().reshaped([1, depth, rows]), gate: nil, residual: nil,
      into: results.columns)
    return results
  }

  @Test(arguments: [(29, 130, 31), (15, 500, 65), (64, 768, 16)])
  func rangesKnownBeforehandGiveTheSame(rows: Int, depth: Int, count: Int) {
    let range = ActivationRange(low: -1.25, high: 2.5)
    let (x, mixes) = (spanning(range, rows, depth), layers(depth, count))
    let own = results(of: mixes, on: x, count, ActivationRanges())
    let known = results(of: mixes, on: x, count, ActivationRanges(input: range))
    #expect(own.rows.equal(known.rows).all().item == 1)
    #expect(own.columns.equal(known.columns).all().item == 1)
  }

  @Test(arguments: [(29, 130, 31), (15, 500, 65)])
  func whatIsOutsideOfARangeBecomesItsEnds(rows: Int, depth: Int, count: Int) {
    let range = ActivationRange(low: -0.5, high: 0.75)
    let x = normal([rows, depth], scale: 100)
    let mixes = layers(depth, count)
    let cut = results(of: mixes, on: x, count, ActivationRanges(input: range))
    let inside = results(
      of: mixes, on: x.clamped(to: -0.5...0.75), count, ActivationRanges(input: range))
    #expect(cut.rows.isFinite().all().item == 1)
    #expect(cut.rows.equal(inside.rows).all().item == 1)
    #expect(cut.columns.equal(inside.columns).all().item == 1)
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity])
  func numbersThatAreNoneStayNoneInAKnownRange(_ number: Float) {
    let x = Tensor([1, 2, 3, 4, number, 6], shape: [2, 3])
    let range = ActivationRange(low: 0, high: 10)
    let found = results(of: layers(3, 2), on: x, 2, ActivationRanges(input: range))
    #expect(found.rows.isFinite().array(of: Bool.self) == [true, true, false, false])
    #expect(found.columns.isFinite().array(of: Bool.self) == [true, false, true, false])
  }

  @Test(arguments: sizes.filter { $0.2 > 0 })
  func channelMixingTakesBothRanges(rows: Int, depth: Int, width: Int, count: Int) {
    let x = normal([rows, depth], scale: 4) + 1
    let first = (normal([width, depth], scale: 0.2), normal([width]))
    let weight = normal([count, width])
    let hidden = x.layerNorm(nil, nil, epsilon: 1e-5).linear(first.0, first.1).gelu()
    let ranges = ActivationRanges(
      input: ActivationRange(low: -5, high: 5),
      hidden: ActivationRange(low: -0.2, high: Float(hidden.max().item)))
    let mix = RowMix(
      epsilon: 1e-5, hidden: (first.0, first.1, .gelu), weight: weight, bias: nil,
      activation: .identity, format: .bytes
    ).taking(ranges)
    let y = Tensor.full([rows, count], .nan)
    mix(x, gate: nil, residual: nil, into: y)
    let exact = hidden.linear(weight)
    #expect((exact - y).norm().item <= 0.05 * exact.norm().item)
  }

  @Test(arguments: columnSizes.filter { $0.1 > 0 })
  func tokenMixingTakesBothRanges(tokens: Int, width: Int, count: Int, channels: Int) {
    let x = normal([2, tokens, channels], scale: 4) + 1
    let first = (normal([width, tokens], scale: 0.2), normal([width]))
    let weight = normal([count, width])
    let hidden = x.layerNorm(nil, nil, epsilon: 1e-5).rowLinear(first.0, first.1).gelu()
    let ranges = ActivationRanges(
      input: ActivationRange(low: -5, high: 5),
      hidden: ActivationRange(low: -0.2, high: Float(hidden.max().item)))
    let mix = ColumnMix(
      normalization: .rows(epsilon: 1e-5), affine: nil, hidden: (first.0, first.1, .gelu),
      weight: weight, bias: nil, activation: .identity, resultScale: nil, format: .bytes
    ).taking(ranges)
    let y = Tensor.full([2, count, channels], .nan)
    mix(x, gate: nil, residual: nil, into: y)
    let exact = hidden.rowLinear(weight)
    #expect((exact - y).norm().item <= 0.05 * exact.norm().item)
  }
}
