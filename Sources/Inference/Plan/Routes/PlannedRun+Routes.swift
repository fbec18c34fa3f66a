import Layers
import Torch

/// How each step is computed: by the route that was the fastest on this machine.
extension PlannedRun {
  /// Whether all steps' routes were known from the start.
  private var hasAllRoutes: Bool {
    work.indices.allSatisfy { index in
      switch work[index] {
      case .call, .map: true
      default: known.contains(index)
      }
    }
  }

  /// Measures how steps are computed fastest that no run on this machine has met yet.
  func chooseRoutes(for input: Tensor) {
    guard precision != .int8, !hasAllRoutes else { return }
    var chosen: [(index: Int, route: Route)] = []
    _ = run(input) { index in
      perform(index)
      switch work[index] {
      case .rows(_, let step) where !known.contains(index):
        let best = route(of: step) ?? measured(routes(for: step), at: index) { rows(step, $0) }
        table.keep(best, for: key(of: step))
        work[index] = rows(step, best)
        chosen.append((index, best))
      case .columns(_, let step) where !known.contains(index):
        let best = route(of: step) ?? measured(routes(for: step), at: index) { columns(step, $0) }
        table.keep(best, for: key(of: step))
        work[index] = columns(step, best)
        chosen.append((index, best))
      default: break
      }
    }
    guard !chosen.isEmpty else { return }
    for (index, route) in chosen { forgetOthers(than: work[index], route) }
    if !work.contains(where: \.hasHiddenMemory) { hidden = .empty([0]) }
    table.save()
  }

  /// The fastest route for the step at `index`: all take turns, so that a slow moment falls on each of them.
  /// Another than the first, which is one kernel, must be so by some percent, that a moment's noise may not
  /// decide for good.
  private func measured(_ routes: [Route], at index: Int, _ make: (Route) -> Work) -> Route {
    let ways = routes.map(make)
    var shortest = [Duration](repeating: .seconds(1 << 30), count: ways.count)
    for round in 0..<4 {
      for (i, way) in ways.enumerated() {
        work[index] = way
        copies = [:]
        let time = ContinuousClock().measure { perform(index) }
        if round > 0 { shortest[i] = min(shortest[i], time) }
      }
    }
    let best = ways.indices.min { shortest[$0] < shortest[$1] } ?? 0
    return shortest[best] < shortest[0] * 0.98 ? routes[best] : routes[0]
  }

  /// Drops the weights that were packed for the step's other routes.
  private func forgetOthers(than work: Work, _ route: Route) {
    switch work {
    case .call, .map: break
    case .rows(_, let step), .twoRows(_, _, _, let step), .library(_, let step):
      weights.forgetLibraries(of: step, but: route)
      weights.forgetKernels(of: step, but: route)
    case .columns(_, let step), .twoColumns(_, _, _, let step):
      weights.forgetKernels(of: step, but: route)
    }
  }

  private func routes(for step: RowStep) -> [Route] {
    Route.ofRows(precision, isDouble: step.hidden != nil)
  }

  private func routes(for step: ColumnStep) -> [Route] {
    Route.ofColumns(
      precision, isDouble: step.hidden != nil, isSquareOfThree: step.isSquareOfThree)
  }

  /// The fastest way to compute the step, if it is known.
  func route(of step: RowStep) -> Route? {
    precision == .int8 ? .fused : table.route(for: key(of: step), among: routes(for: step))
  }

  func route(of step: ColumnStep) -> Route? {
    precision == .int8 ? .fused : table.route(for: key(of: step), among: routes(for: step))
  }

  private func key(of step: RowStep) -> String {
    step.key(rows: tensor(step.output).count / max(1, step.layer.weight.shape[0]), precision)
  }

  private func key(of step: ColumnStep) -> String {
    step.key(batch: tensor(step.output).shape[0], precision)
  }

  func columns(_ step: ColumnStep, _ route: Route) -> Work {
    guard route == .split, let width = step.hidden?.weight.shape[0] else {
      return .columns(weights.columns(step, route), step)
    }
    let mixes = weights.layers(step)
    var shape = tensor(step.output).shape
    shape[1] = width
    return .twoColumns(first: mixes[0], second: mixes[1], hidden: hiddenMemory(shape), step)
  }

  /// Memory for what lies between two layers that are computed one after the other.
  private func hiddenMemory(_ shape: [Int]) -> Tensor {
    let count = shape.reduce(1, *)
    if hidden.count < count { hidden = .empty([count]) }
    return hidden.narrowed(0, 0..<count).reshaped(shape)
  }

  func rows(_ step: RowStep, _ route: Route) -> Work {
    switch route {
    case .fused, .strassen: return .rows(weights.rows(step, route), step)
    case .turned, .turnedStrassen, .winogradOfTwo, .winogradOfFour:
      preconditionFailure("no route over channels: \(route)")
    case .split:
      guard let width = step.hidden?.weight.shape[0] else { return .rows(weights.rows(step), step) }
      let mixes = weights.layers(step)
      let shape = tensor(step.output).shape.dropLast() + [width]
      return .twoRows(first: mixes[0], second: mixes[1], hidden: hiddenMemory(Array(shape)), step)
    case .blas, .oneDNN, .oneDNNPacked, .oneDNNBFloat16:
      return .library(weights.library(step, route), step)
    }
  }
}
