import Foundation
import Inference
import Layers
import Models
import TestSupport
import Testing
import Torch

/// Plans against what they were made of.
@Suite struct InferencePlanTests {
  /// One name of each family that reads pictures.
  nonisolated static let names = Dictionary(
    grouping: ModelRegistry.entries(reading: .pictures), by: \.family
  ).compactMap { $0.value.first?.name }.sorted()

  private func model(_ name: String) throws -> any VisionModel {
    let family = try ModelRegistry.entry(name).family
    let model = try ModelCheckpoint.fresh(
      name, settings: SmallModels.settings[family] ?? [:], generator: Generator(seed: 1)
    ).model
    let filled = model.state.map { ($0.name, Fill.parameter($0.name, $0.tensor.shape)) }
    try model.load(Dictionary(uniqueKeysWithValues: filled))
    model.setMode(.evaluation)
    return model
  }

  private func images(_ model: any VisionModel, _ count: Int, seed: UInt64) -> Tensor {
    let size = model.configuration.imageSize
    return .normal(
      [count, model.configuration.inputChannels, size.height, size.width],
      generator: Generator(seed: seed))
  }

  private func difference(_ a: Tensor, _ b: Tensor) -> Double {
    (a - b).abs().max().item / b.abs().max().item
  }

  @Test(arguments: names)
  func everyFamilyHasAPlan(_ name: String) throws {
    let model = try model(name)
    let plan = InferencePlan(routes: RouteTable(path: nil)) { model.logits($0) }
    for (count, seed) in [(1, 1), (2, 2), (1, 3), (2, 2)] as [(Int, UInt64)] {
      let images = images(model, count, seed: seed)
      let expected = withoutGradients { model.logits(images) }
      #expect(difference(plan(images), expected) < 2e-5)
      // Routing to experts looks at its input.
      let count = plan.kernels(for: images.shape)?.count ?? 0
      #expect(name.hasPrefix("sparse") ? count == 0 : count > 0)
    }
  }

  nonisolated static let routes = Set(
    Route.ofRows(.float32, isDouble: true)
      + Route.ofColumns(.float32, isDouble: true)
  ).sorted { $0.rawValue < $1.rawValue }

  @Test(arguments: ["mixer_s16_224", "gmlp_s16_224", "as_mlp_tiny_224"], routes)
  func everyRouteGivesTheSame(_ name: String, _ route: Route) throws {
    let model = try model(name)
    let table = RouteTable(path: nil, always: route.rawValue)
    let plan = InferencePlan(routes: table) { model.logits($0) }
    let images = images(model, 3, seed: 8)
    let expected = withoutGradients { model.logits(images) }
    for _ in 0..<2 { #expect(difference(plan(images), expected) < 2e-5) }
    #expect((plan.kernels(for: images.shape)?.count ?? 0) > 0)
  }

  @Test func routesAreMeasuredOnceOnAMachine() throws {
    let folder = try TemporaryFolder()
    let path = folder("new/routes.json")
    let generator = Generator(seed: 1)
    let weights = (0..<2).map { _ in Tensor.normal([8, 8], generator: generator) }
    func plan(_ table: RouteTable) -> InferencePlan {
      InferencePlan(routes: table) { x in
        weights.reduce(x) { x, weight in x.linear(weight).softmax() }
      }
    }
    let (key, routes) = ("fp32 1x8, 8 identity", Route.ofRows(.float32, isDouble: false))
    let table = RouteTable(path: path)
    #expect(table.route(for: key, among: routes) == nil)
    _ = plan(table)(.ones([2, 8]))
    let route = try #require(table.route(for: key, among: routes))
    #expect(RouteTable(path: path).route(for: key, among: routes) == route)
    // What is known is not measured again, and is what equal layers are computed by.
    table.keep(Route.blas, for: key)
    let second = plan(table)
    _ = second(.ones([2, 8]))
    #expect(table.route(for: key, among: routes) == .blas)
    #expect(second.kernels(for: [2, 8])?.count == 0)
    // A route that there is not here, what is of another machine, or no such file, counts for nothing.
    #expect(table.route(for: key, among: [Route.fused]) == nil)
    let text = try String(contentsOfFile: path, encoding: .utf8)
    for other in [text.replacingOccurrences(of: "libtorch", with: "other"), "{}", ""] {
      try other.write(toFile: path, atomically: true, encoding: .utf8)
      #expect(RouteTable(path: path).route(for: key, among: routes) == nil)
    }
    let unwritable = RouteTable(path: "/dev/null/routes.json")
    unwritable.keep(Route.fused, for: key)
    unwritable.save()
    #expect(unwritable.route(for: key, among: routes) == .fused)
  }

  /// Layers of one shape are measured once, and all of them computed by what was found.
  @Test func equalLayersTakeOneRoute() throws {
    let generator = Generator(seed: 1)
    let weights = (0..<6).map { _ in Tensor.normal([40, 40], generator: generator) }
    func run(_ input: Tensor) -> Tensor {
      weights.reduce(input) { x, weight in x.linear(weight).softmax() }
    }
    let table = RouteTable(path: nil)
    let plan = InferencePlan(routes: table, run)
    let x = Tensor.normal([1, 40], generator: generator)
    #expect(difference(plan(x), run(x)) < 2e-5)
    let routes = Route.ofRows(.float32, isDouble: false)
    let route = try #require(table.route(for: "fp32 1x40, 40 identity", among: routes))
    #expect(plan.kernels(for: [1, 40])?.count == ([.fused, .strassen].contains(route) ? 6 : 0))
  }

  /// Although products of several samples are added to one another.
  @Test(arguments: [("mixer_s16_224", Route.strassen), ("as_mlp_mobile_224", .turnedStrassen)])
  func whatIsNoNumberStaysInItsSample(_ name: String, _ route: Route) throws {
    let model = try model(name)
    let images = images(model, 4, seed: 6)
    func plan() -> InferencePlan {
      let plan = InferencePlan(routes: RouteTable(path: nil, always: route.rawValue)) {
        model.logits($0)
      }
      for _ in 0..<2 { _ = plan(images) }
      return plan
    }
    // Whether samples are computed together is measured.
    let plans = (0..<20).lazy.map { _ in plan() }
    let plan = try #require(plans.first { $0.computesTogether(images.shape) })
    let expected = withoutGradients { model.logits(images) }
    images.narrowed(0, 1..<2).copyInPlace(.full([1], .nan))
    let logits = plan(images)
    #expect(logits.narrowed(0, 1..<2).isFinite().to(.float32).sum().item == 0)
    for sample in [0, 2, 3] {
      let part = sample..<sample + 1
      #expect(difference(logits.narrowed(0, part), expected.narrowed(0, part)) < 2e-5)
    }
  }

  @Test func repeatsAreEqualToTheBit() throws {
    let model = try model("gmlp_ti16_224")
    let plan = InferencePlan(routes: RouteTable(path: nil)) { model.logits($0) }
    let (first, second) = (images(model, 1, seed: 4), images(model, 1, seed: 5))
    let before = plan(first)
    _ = plan(second)
    #expect(plan(first).equal(before).all().item == 1)
  }

  @Test func largeBatchesAreCutInPieces() throws {
    let model = try model("mixer_s16_224")
    let plan = InferencePlan(routes: RouteTable(path: nil)) { model.logits($0) }
    for count in [1, 5, 19, 50] {
      let images = images(model, count, seed: 6)
      let expected = withoutGradients { model.logits(images) }
      #expect(difference(plan(images), expected) < 2e-5)
    }
  }

  @Test(arguments: [
    (InferencePrecision.bfloat16, 0.03), (InferencePrecision.int8, 0.06),
  ])
  func lowerPrecisionIsNear(_ precision: InferencePrecision, _ limit: Double) throws {
    let model = try model("mixer_s16_224")
    let plan = InferencePlan(precision: precision, routes: RouteTable(path: nil)) {
      model.logits($0)
    }
    let images = images(model, 2, seed: 7)
    let expected = withoutGradients { model.logits(images) }
    let error = (plan(images) - expected).norm().item / expected.norm().item
    #expect(error < limit)
    #expect(error > 0)
    let inBytes = plan.kernels(for: images.shape)?.inBytes ?? 0
    #expect(precision == .int8 ? inBytes > 4 : inBytes == 0)
  }

  @Test func whatReadsItsInputHasNoPlan() {
    let plan = InferencePlan(routes: RouteTable(path: nil)) { x in x.sum().item > 0 ? x * 2 : x * 3
    }
    let x = Tensor.ones([1, 4])
    #expect(difference(plan(x), x * 2) == 0)
    #expect(plan.kernels(for: [1, 4]) == nil)
    #expect(difference(plan(-x), -x * 3) == 0)
  }

  @Test func whatIsReadTwiceIsKept() {
    let generator = Generator(seed: 5)
    let (first, second) = (
      Tensor.normal([4, 4], generator: generator), Tensor.normal([4, 4], generator: generator)
    )
    let x = Tensor.normal([1, 4], generator: generator)
    let functions: [@Sendable (Tensor) -> Tensor] = [
      { x in
        let n = x.layerNorm(nil, nil, epsilon: 1e-5)
        return n + n.linear(first)
      },
      { x in
        let h = x.linear(first)
        return h * h.linear(second)
      },
      { x in x },
      { x in x.linear(first).addInPlace(1) },
      { x in x.linear(first.narrowed(0, 0..<2)) + x.linear(first.narrowed(0, 2..<4)) },
      { x in
        customFunction([x.linear(first), second]) { inputs in
          ([inputs[0].linear(inputs[1])], { _ in [nil, nil] })
        }[0]
      },
    ]
    for function in functions {
      let plan = InferencePlan(routes: RouteTable(path: nil), function)
      for x in [x, x * 3] { #expect(difference(plan(x), function(x)) < 1e-5) }
    }
  }

  /// Before and behind 1x1 convolutions, behind others, and where several read one.
  @Test func batchNormsAreFolded() {
    let generator = Generator(seed: 6)
    func normal(_ shape: [Int]) -> Tensor { .normal(shape, generator: generator) }
    let norms = (0..<4).map { _ in
      (gain: normal([5]), shift: normal([5]), mean: normal([5]), variance: normal([5]).abs() + 0.1)
    }
    let (square, points) = (normal([5, 3, 3, 3]), (0..<3).map { _ in normal([5, 5, 1, 1]) })
    let bias = normal([5])
    @Sendable func norm(_ x: Tensor, _ index: Int) -> Tensor {
      let norm = norms[index]
      return x.batchNorm(
        index == 0 ? nil : norm.gain, index == 0 ? nil : norm.shift, runningMean: norm.mean,
        runningVariance: norm.variance, momentum: nil, epsilon: 1e-3)
    }
    let functions: [@Sendable (Tensor) -> Tensor] = [
      { x in norm(x.convolution(square, padding: (1, 1)), 1).relu().convolution(points[0]) },
      { x in norm(x.convolution(square, bias, padding: (1, 1)), 0).convolution(points[0], bias) },
      { x in norm(x.convolution(square).convolution(points[0], bias), 2).silu() },
      { x in
        let y = norm(x.convolution(square), 3)
        return y.convolution(points[1]) + norm(y.relu().convolution(points[2]), 1)
      },
      { x in
        let y = norm(x.convolution(square).abs(), 3)
        return y.convolution(points[1], bias) * y.convolution(points[2])
      },
    ]
    for function in functions {
      let plan = InferencePlan(routes: RouteTable(path: nil), function)
      for count in [1, 2, 2] {
        let x = normal([count, 3, 6, 7])
        #expect(difference(plan(x), function(x)) < 1e-5)
        #expect((plan.kernels(for: x.shape)?.count ?? 0) > 0)
      }
    }
  }

  /// Convolutions on patches, whose results are read as maps, as tokens, as both, or are the result; patches
  /// need not fill the picture.
  @Test func patchesBecomeMapsOrTokens() throws {
    let generator = Generator(seed: 16)
    func normal(_ shape: [Int]) -> Tensor { .normal(shape, generator: generator) }
    let (points, bias, gain) = (normal([5, 5, 1, 1]), normal([5]), normal([5]))
    let variance = normal([5]).abs() + 0.1
    @Sendable func norm(_ x: Tensor) -> Tensor {
      x.batchNorm(
        gain, bias, runningMean: bias, runningVariance: variance, momentum: nil, epsilon: 1e-3)
    }
    for sides in [[4, 4], [2, 3], [3, 9]] {
      let weight = normal([5, 3] + sides)
      let patches: @Sendable (Tensor) -> Tensor = {
        $0.convolution(weight, bias, stride: (sides[0], sides[1]))
      }
      let functions: [(first: String, run: @Sendable (Tensor) -> Tensor)] = [
        ("tokens", { patches($0).groupNorm(gain, bias, groups: 1, epsilon: 1e-5) }),
        ("tokens", { patches($0).gelu().convolution(points) }),
        ("tokens", { norm(patches($0)).relu().convolution(points) }),
        ("channels", { patches($0).permuted([0, 2, 3, 1]).layerNorm(gain, bias, epsilon: 1e-5) }),
        (
          "channels",
          { x in
            let y = patches(x)
            return y.convolution(points) + y.transposed(2, 3).relu().transposed(2, 3)
          }
        ),
        (
          "tokens",
          { x in
            let y = norm(patches(x))
            return y.convolution(points) * patches(x).silu() + y.mean([2, 3], keepDimensions: true)
          }
        ),
        ("channels", patches),
      ]
      for (index, (first, run)) in functions.enumerated() {
        let plan = InferencePlan(routes: RouteTable(path: nil), run)
        for count in [1, 2, 2] {
          let x = normal([count, 3, 13, 30])
          #expect(difference(plan(x), run(x)) < 1e-5, "\(sides) \(index)")
          let steps = try Calibration(of: [x], run).steps
          let depth = 3 * sides[0] * sides[1]
          #expect(steps.first?.sizes.hasPrefix("\(depth) \(first)") == true, "\(sides) \(index)")
        }
      }
    }
  }

  /// By every route, with what stands around them; sides that the stride divides and that it does not. The last
  /// ones do not divide a map's sides by their stride, and stay what they are.
  @Test(
    arguments: [
      "fused", "strassen", "turned", "turned-strassen", "split", "winograd-2x2", "winograd-4x4",
    ])
  func convolutionsOfAllKinds(_ route: String) {
    let generator = Generator(seed: 17)
    func normal(_ shape: [Int]) -> Tensor { .normal(shape, generator: generator) }
    let kinds: [(kernel: (Int, Int), stride: (Int, Int), padding: (Int, Int), isFused: Bool)] = [
      ((3, 3), (1, 1), (1, 1), true), ((3, 3), (2, 2), (1, 1), true),
      ((7, 7), (2, 2), (3, 3), true), ((5, 5), (3, 3), (2, 2), true),
      ((1, 1), (2, 2), (0, 0), true), ((1, 3), (1, 2), (0, 1), true),
      ((2, 2), (1, 1), (0, 0), false), ((3, 3), (2, 2), (2, 2), false),
    ]
    let (bias, points, variance) = (normal([6]), normal([6, 6, 1, 1]), normal([6]).abs() + 0.1)
    for kind in kinds {
      let weight = normal([6, 4, kind.kernel.0, kind.kernel.1]) * 0.3
      let run: @Sendable (Tensor) -> Tensor = { x in
        let y = x.convolution(weight, bias, stride: kind.stride, padding: kind.padding)
          .batchNorm(
            bias, bias, runningMean: bias, runningVariance: variance, momentum: nil, epsilon: 1e-3)
        return (y.relu().convolution(points) + y).relu()
      }
      for side in [(12, 8), (13, 7)] {
        let plan = InferencePlan(routes: RouteTable(path: nil, always: route), run)
        for count in [1, 2, 2] {
          let x = normal([count, 4, side.0, side.1])
          #expect(difference(plan(x), run(x)) < 1e-5, "\(kind) of \(side)")
        }
        #expect(plan.kernels(for: [1, 4, side.0, side.1])?.count == (kind.isFused ? 2 : 1))
      }
    }
  }

  /// Minimal filtering is for one layer.
  @Test(arguments: [(3, 2), (5, 1)])
  func squaresOfThreeStayApart(_ side: Int, _ count: Int) {
    let generator = Generator(seed: 20)
    let weight = Tensor.normal([6, 4, side, side], generator: generator)
    let points = Tensor.normal([8, 6, 1, 1], generator: generator)
    let run: @Sendable (Tensor) -> Tensor = { x in
      x.convolution(weight, padding: (side / 2, side / 2)).relu().convolution(points)
    }
    let plan = InferencePlan(routes: RouteTable(path: nil, always: "winograd-4x4"), run)
    let x = Tensor.normal([1, 4, 9, 8], generator: generator)
    #expect(difference(plan(x), run(x)) < 1e-5)
    #expect(plan.kernels(for: x.shape)?.count == count)
  }

  /// What a layer multiplies of a map's numbers is known where bytes are calibrated.
  @Test func convolutionsAreCalibrated() throws {
    let generator = Generator(seed: 18)
    let weight = Tensor.normal([8, 4, 3, 3], generator: generator)
    let run: @Sendable (Tensor) -> Tensor = { x in
      x.convolution(weight, stride: (2, 2), padding: (1, 1)).relu()
    }
    let x = Tensor.normal([2, 4, 30, 29], generator: generator)
    let calibration = try Calibration(of: [x], run)
    #expect(calibration.steps.map(\.sizes) == ["36 tokens of 225, under 3x3 by 2x2, 8 relu"])
    #expect(calibration.steps.allSatisfy { $0.products == .bytes })
    let plan = try InferencePlan(calibration: calibration, for: x, run)
    #expect((plan(x) - run(x)).norm().item < 0.03 * run(x).norm().item)
  }

  /// Windows over maps and attention, with the activation and the mask that belong to them.
  @Test func windowsAndAttention() {
    let generator = Generator(seed: 19)
    func normal(_ shape: [Int]) -> Tensor { .normal(shape, generator: generator) }
    let (weight, bias, mask) = (normal([6, 1, 3, 3]), normal([6]), normal([3, 20, 20]))
    let functions: [(maps: Int, run: @Sendable (Tensor) -> Tensor)] = [
      (1, { x in x.convolution(weight, bias, padding: (1, 1), groups: 6).silu() }),
      (1, { x in x.convolution(weight, stride: (2, 2), padding: (1, 1), groups: 6) }),
      (1, { x in x.relu().maxPooled(3, stride: 2, padding: 1) }),
      (2, { x in x.maxPooled(2, stride: 1).convolution(weight, groups: 6).gelu() }),
      (
        0,
        { x in
          let tokens = x.reshaped([x.shape[0], 3, 20, 8])
          return tokens.attention(tokens.relu(), tokens, mask: mask) + tokens
        }
      ),
    ]
    for (index, (maps, run)) in functions.enumerated() {
      let plan = InferencePlan(routes: RouteTable(path: nil), run)
      for count in [1, 2, 2] {
        let x = normal([count, 6, 10, 8])
        #expect(difference(plan(x), run(x)) < 1e-5, "\(index)")
        #expect(plan.maps(for: x.shape) == maps, "\(index)")
      }
    }
  }

  /// Masks of all forms that libtorch takes, pictures without a batch, and groups that are neither one nor as many
  /// as channels: what no kernel computes stays what it is.
  @Test func whatKernelsDoNotTakeStays() {
    let generator = Generator(seed: 20)
    func normal(_ shape: [Int]) -> Tensor { .normal(shape, generator: generator) }
    let (patches, points) = (normal([4, 3, 2, 2]), normal([4, 3, 1, 1]))
    let (grouped, doubled) = (normal([6, 3, 3, 3]), normal([12, 1, 3, 3]))
    let masks = [[1, 5], [7, 1], [3, 1, 5], [2, 1, 1, 5]].map { normal($0) }
    func expectSame(_ shape: [Int], _ run: @escaping @Sendable (Tensor) -> Tensor) {
      let plan = InferencePlan(routes: RouteTable(path: nil), run)
      for _ in 0..<2 {
        let x = normal(shape)
        #expect(difference(plan(x), run(x)) < 1e-5, "\(shape)")
      }
    }
    for mask in masks.dropLast() {
      expectSame([1, 3, 7, 4]) { x in
        x.attention(x.narrowed(2, 0..<5), x.narrowed(2, 1..<6), mask: mask)
      }
    }
    let last = masks[masks.count - 1]
    expectSame([1, 2, 3, 7, 4]) { x in
      let q = x.flattened(from: 0, to: 1)
      return q.attention(q.narrowed(2, 0..<5), q.narrowed(2, 0..<5), mask: last)
    }
    expectSame([1, 6, 8]) { x in x.expanded([3, 6, 8]).convolution(patches, stride: (2, 2)) }
    expectSame([1, 6, 8]) { x in x.expanded([3, 6, 8]).convolution(points) }
    expectSame([1, 6, 5, 5]) { x in x.convolution(grouped, padding: (1, 1), groups: 2).relu() }
    expectSame([1, 6, 5, 5]) { x in x.convolution(doubled, padding: (1, 1), groups: 6).silu() }
  }

  /// One weight with what differs behind it only in the kind of an activation.
  @Test func activationsOfOneNameAreApart() {
    let generator = Generator(seed: 21)
    let weight = Tensor.normal([6, 6], generator: generator)
    let run: @Sendable (Tensor) -> Tensor = { x in
      x.linear(weight).gelu() - (-x).linear(weight).gelu(approximate: true)
    }
    let plan = InferencePlan(routes: RouteTable(path: nil), run)
    let x = Tensor.normal([1, 5, 6], generator: generator)
    #expect(difference(plan(x), run(x)) < 1e-6)
    #expect(plan.kernels(for: x.shape)?.count == 2)
  }

  /// What only moves numbers is one step where several calls copied them, and norms before it go into layers behind it.
  @Test func movements() {
    let generator = Generator(seed: 22)
    func normal(_ shape: [Int]) -> Tensor { .normal(shape, generator: generator) }
    let (four, five) = (normal([4]), normal([5]))
    let (points, regions) = (normal([4, 4, 1, 1]), normal([3, 8, 1, 1]))
    let (inner, outer) = (normal([7, 5]), normal([5, 7]))
    let variance = four.abs() + 0.1
    @Sendable func norm(_ x: Tensor) -> Tensor {
      x.batchNorm(
        four, four, runningMean: four, runningVariance: variance, momentum: nil, epsilon: 1e-3)
    }
    /// [B, 4, 6, W] -> [B, 8, 3, W]
    @Sendable func parted(_ x: Tensor) -> Tensor {
      x.reshaped([x.shape[0], 4, 3, 2, x.shape[3]]).transposed(2, 3)
        .reshaped([x.shape[0], 8, 3, x.shape[3]])
    }
    @Sendable func wrapped(_ x: Tensor) -> Tensor {
      .concatenated([x.narrowed(3, 6..<8), x, x.narrowed(3, 0..<2)], dimension: 3)
    }
    /// [B, 4, 6, 8] as [B, H, W, 8] -> windows [B * 6, 2 * 2, 8], and back
    @Sendable func windows(_ x: Tensor) -> Tensor {
      x.rolled([-1, -1], dimensions: [1, 2]).reshaped([x.shape[0], 2, 2, 3, 2, x.shape[3]])
        .transposed(2, 3).reshaped([-1, 4, x.shape[3]])
    }
    @Sendable func back(_ x: Tensor, _ count: Int) -> Tensor {
      x.reshaped([count, 2, 3, 2, 2, x.shape[2]]).transposed(2, 3)
        .reshaped([count, 4, 6, x.shape[2]]).rolled([1, 1], dimensions: [1, 2])
    }
    let functions: [(movements: Int, calls: Int, depth: Int, run: @Sendable (Tensor) -> Tensor)] = [
      (1, 0, 8, { x in parted(x.rolled([2], dimensions: [2])).convolution(regions) }),
      (1, 0, 8, { x in parted(norm(x)).convolution(regions) }),
      (
        2, 3, 8,  // the sum, its view, and the product
        { x in
          let y = norm(x)
          let z = parted(y.rolled([1], dimensions: [2])).convolution(regions).mean([1, 2, 3])
          let w = parted(wrapped(y)).convolution(regions).mean([1, 2, 3])
          return (z + w).reshaped([-1, 1, 1, 1]) * y.convolution(points)
        }
      ),
      (1, 0, 8, { x in parted(wrapped(x)) }),
      (1, 0, 8, { x in wrapped(x.convolution(points)).rolled([1], dimensions: [2]) }),
      // What lies between is read, or all does not come from one tensor.
      (
        0, 5, 8,
        { x in
          let y = x.rolled([2], dimensions: [2])
          return parted(y).convolution(regions).mean([1, 2, 3]).reshaped([-1, 1, 1, 1]) * y
        }
      ),
      (
        0, 2, 8,
        { x in
          Tensor.concatenated([x, x.convolution(points)], dimension: 1)
            .rolled([1], dimensions: [1])
        }
      ),
      (
        2, 1, 5,
        { x in
          let y = windows(x.layerNorm(five, five, epsilon: 1e-5)).linear(inner).gelu()
          return x + back(y.linear(outer), x.shape[0])
        }
      ),
      // A convolution takes the norm that another reads too; so does one before it.
      (
        0, 2, 8,
        { x in
          let y = norm(x.convolution(points))
          return parted(y).convolution(regions).mean([1, 2, 3]).reshaped([-1, 1, 1, 1]) * y
        }
      ),
      // Several layers read the rows: the norm stays before.
      (
        1, 2, 5,
        { x in
          let y = x.layerNorm(five, five, epsilon: 1e-5).rolled([1, 1], dimensions: [1, 2])
            .rolled([1], dimensions: [2])
          return y.linear(inner).abs() + y.linear(inner).gelu()
        }
      ),
      // Two movements of what a third one made.
      (
        2, 1, 8,
        { x in
          let y = x.rolled([2], dimensions: [2])
          let z = parted(y.rolled([1], dimensions: [3])).convolution(regions)
          return parted(y).convolution(regions).abs() + z
        }
      ),
      // Rows that a norm sees do not stay whole.
      (
        1, 1, 5,
        { x in
          x.layerNorm(five, five, epsilon: 1e-5).rolled([1], dimensions: [3])
            .rolled([1], dimensions: [2]).linear(inner)
        }
      ),
    ]
    for (index, function) in functions.enumerated() {
      let plan = InferencePlan(routes: RouteTable(path: nil), function.run)
      for count in [1, 2, 2] {
        let x = normal([count, 4, 6, function.depth])
        #expect(difference(plan(x), function.run(x)) < 1e-5, "\(index)")
      }
      let shape = [1, 4, 6, function.depth]
      #expect(plan.movements(for: shape) == function.movements, "\(index)")
      #expect(plan.calls(for: shape) == function.calls, "\(index)")
    }
  }

  /// A norm of whole maps goes into the layer that reads it, with what stands between; what several read, or no
  /// layer, is a step of its own.
  @Test func normsOfMaps() {
    let generator = Generator(seed: 15)
    func normal(_ shape: [Int]) -> Tensor { .normal(shape, generator: generator) }
    let (points, gain, shift) = (normal([5, 5, 1, 1]), normal([5]), normal([5]))
    let move = ChannelShift(axis: 2, size: 3)
    @Sendable func norm(_ x: Tensor, groups: Int = 1) -> Tensor {
      x.groupNorm(gain, shift, groups: groups, epsilon: 1e-5)
    }
    let functions: [(maps: Int, run: @Sendable (Tensor) -> Tensor)] = [
      (0, { x in norm(x).convolution(points) }),
      (0, { x in move(norm(x).gelu()).convolution(points) }),
      (
        1,
        { x in
          let z = norm(x).gelu()
          return move(z).convolution(points) + z.convolution(points)
        }
      ),
      (1, { x in norm(x.convolution(points)) }),
      (1, { x in norm(x.convolution(points)).relu() }),
      (1, { x in norm(x.convolution(points)).silu().mean([2, 3]) }),
      (
        1,
        { x in
          let z = norm(x.convolution(points))
          return z.gelu() + z
        }
      ),
      (
        1,
        { x in
          x.convolution(points).groupNorm(nil, nil, groups: 1, epsilon: 1e-5).transposed(2, 3)
        }
      ),
      (0, { x in norm(x.convolution(points), groups: 5) }),
    ]
    for (index, (maps, run)) in functions.enumerated() {
      let plan = InferencePlan(routes: RouteTable(path: nil), run)
      for count in [1, 2, 2] {
        let x = normal([count, 5, 6, 7]) + 2
        #expect(difference(plan(x), run(x)) < 1e-5, "\(index)")
        #expect(plan.maps(for: x.shape) == maps, "\(index)")
      }
    }
  }

  /// In every block one of products and one of means, whatever the precision of the layers.
  @Test(arguments: [("vip_small_7_224", 5), ("hire_mlp_tiny_224", 7)], InferencePrecision.allCases)
  func splitAttentionIsAddedInOnePass(
    _ network: (name: String, blocks: Int), _ precision: InferencePrecision
  ) throws {
    let model = try model(network.name)
    let plan = InferencePlan(precision: precision, routes: RouteTable(path: nil)) {
      model.logits($0)
    }
    for count in [1, 3, 3] {
      let images = images(model, count, seed: 9)
      let expected = withoutGradients { model.logits(images) }
      #expect(difference(plan(images), expected) < (precision == .float32 ? 2e-5 : 0.1))
      // Where libtorch multiplies bfloat16 faster, several pictures may be computed as written.
      let sums = plan.sums(for: images.shape)
      #expect(sums == 2 * network.blocks || (sums == nil && precision == .bfloat16 && count > 1))
    }
  }

  @Test func sumsOfWhatOthersReadAreKept() {
    let generator = Generator(seed: 12)
    let scale = Tensor.normal([1, 1, 6], generator: generator)
    let functions: [(sums: Int, run: @Sendable (Tensor) -> Tensor)] = [
      (1, { x in (x * x.exp()).adding(x, times: x.softmax()) }),
      (1, { x in (x * x.exp()).adding(x, times: x.softmax()).adding(x.abs(), times: x).relu() }),
      (1, { x in (0..<5).reduce(x * x.exp()) { sum, _ in sum.adding(x.abs(), times: x) } }),
      (0, { x in (x * x.exp()).adding(x, times: scale) }),
      (0, { x in x.exp().adding(x, times: x.softmax()) }),
      (0, { x in (x * 2).adding(x, times: x.softmax()) }),
      (
        0,
        { x in
          let product = x * x.exp()
          return product.adding(product, times: x)
        }
      ),
      (
        0,
        { x in
          let product = x * x.exp()
          return product.adding(x, times: x).relu() + product
        }
      ),
      (1, { x in x.mean([2]) + x.exp().mean([2]) + x.abs().mean([2]) }),
      (
        1,
        { x in x.mean([1, 2], keepDimensions: true) + x.exp().mean([1, 2], keepDimensions: true) }
      ),
      (0, { x in x.mean([1]) + x.exp().mean([2]).exp() }),
      (0, { x in x.mean([2]) + x.exp().mean([2], keepDimensions: true).select(2, 0).exp() }),
      (0, { x in x.mean([1], keepDimensions: true) + x.mean([2], keepDimensions: true) }),
      (
        0,
        { x in
          let mean = x.mean([2])
          return (mean + x.exp().mean([2])) * mean
        }
      ),
    ]
    for (sums, run) in functions {
      let plan = InferencePlan(routes: RouteTable(path: nil), run)
      for count in [1, 2, 2] {
        let x = Tensor.normal([count, 6, 6], generator: generator)
        #expect(difference(plan(x), run(x)) < 1e-5)
      }
      #expect(plan.sums(for: [1, 6, 6]) == sums)
    }
  }

  @Test func nothingGivesNothing() {
    let weight = Tensor.ones([3, 4])
    let plan = InferencePlan(routes: RouteTable(path: nil)) { x in x.linear(weight) }
    #expect(plan(.zeros([0, 4])).shape == [0, 3])
  }

  @Test func writingInPlaceKeepsItsMeaning() {
    let weight = Tensor.normal([4, 4], generator: Generator(seed: 3))
    let plan = InferencePlan(routes: RouteTable(path: nil)) { x in
      let y = x.linear(weight)
      let before = y * 1
      return y.addInPlace(1) + before + y
    }
    let x = Tensor.normal([1, 4], generator: Generator(seed: 4))
    let y = x.linear(weight)
    #expect(difference(plan(x), (y + 1) + y + (y + 1)) < 1e-5)
    #expect(difference(plan(x * 2), (y * 2 + 1) + y * 2 + (y * 2 + 1)) < 1e-5)
  }
}
