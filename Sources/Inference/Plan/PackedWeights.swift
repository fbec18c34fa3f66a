import Torch

/// Weights packed for the kernels, shared by the plans of one model.
final class PackedWeights {
  private let precision: InferencePrecision
  private var rows: [String: (mix: RowMix, origin: WeightOrigin)] = [:]
  private var columns: [String: (mix: ColumnMix, origin: WeightOrigin)] = [:]
  private var libraries: [String: (layers: LibraryRows, origin: WeightOrigin)] = [:]
  /// What is packed without bytes although the precision is int8.
  private var exact: Set<String> = []
  /// The known ranges of what steps multiply in bytes.
  private var ranges: [String: (known: ActivationRanges, origin: WeightOrigin)] = [:]

  init(_ precision: InferencePrecision) { self.precision = precision }

  /// The step's kernel, for a route that is one.
  func rows(_ step: RowStep, _ route: Route = .fused) -> RowMix {
    let key = key(step.origin, route)
    if let (mix, _) = rows[key] { return mix }
    let mix = packed(step, format(of: step.origin, route))
      .taking(ranges[step.origin.key]?.known ?? ActivationRanges())
    rows[key] = (mix, step.origin)
    return mix
  }

  func columns(_ step: ColumnStep, _ route: Route = .fused) -> ColumnMix {
    let key = key(step.origin, route)
    if let (mix, _) = columns[key] { return mix }
    let mix = packed(step, format(of: step.origin, route), isTurned: route.isTurned)
      .taking(ranges[step.origin.key]?.known ?? ActivationRanges())
    columns[key] = (mix, step.origin)
    return mix
  }

  private func key(_ origin: WeightOrigin, _ route: Route) -> String {
    Route.kernels.dropFirst().contains(route) ? "\(route) \(origin.key)" : origin.key
  }

  private func format(of origin: WeightOrigin, _ route: Route) -> PackedWeight.Format {
    if isInBytes(origin) { return .bytes }
    return route.format ?? precision.kernelFormat
  }

  /// Kernels for each of a step's two layers, or for its only one.
  func layers(_ step: RowStep) -> [RowMix] { step.layers.map { rows($0) } }
  func layers(_ step: ColumnStep) -> [ColumnMix] { step.layers.map { columns($0) } }

  /// Forgets what was packed for the step's kernels, but for the one by `route`.
  func forgetKernels(of step: RowStep, but route: Route) {
    for other in Route.kernels where other != route { rows[key(step.origin, other)] = nil }
    if route != .split, step.hidden != nil {
      for layer in step.layers { rows[key(layer.origin, .fused)] = nil }
    }
  }

  func forgetKernels(of step: ColumnStep, but route: Route) {
    for other in Route.kernels where other != route { columns[key(step.origin, other)] = nil }
    if route != .split, step.hidden != nil {
      for layer in step.layers { columns[key(layer.origin, .fused)] = nil }
    }
  }

  /// The step's layers by libtorch's operators.
  func library(_ step: RowStep, _ route: Route) -> LibraryRows {
    let key = "\(route) \(step.origin.key)"
    if let (layers, _) = libraries[key] { return layers }
    var rounded = step
    rounded.layer = self.rounded(step.layer, .float32)
    rounded.hidden = step.hidden.map { self.rounded($0, .float32) }
    let layers = LibraryRows(rounded, route)
    libraries[key] = (layers, step.origin)
    return layers
  }

  /// Forgets all layers by libtorch's operators but those of the step by `route`.
  func forgetLibraries(of step: RowStep, but route: Route) {
    libraries = libraries.filter {
      !$0.key.hasSuffix(" \(step.origin.key)") || $0.key == "\(route) \(step.origin.key)"
    }
  }

  /// Whether the step of this origin multiplies bytes.
  func isInBytes(_ origin: WeightOrigin) -> Bool {
    precision == .int8 && !exact.contains(origin.key)
  }

  /// Packs the steps from now on as they were calibrated, if the calibration is theirs. Where two have the
  /// same weights but not the same ranges, both take those of what comes.
  func take(_ calibration: Calibration, for steps: [FusedStep]) -> Bool {
    guard calibration.fits(steps) else { return false }
    var found: [String: (known: ActivationRanges, isExact: Bool, origin: WeightOrigin)] = [:]
    for (step, calibrated) in zip(steps, calibration.steps) {
      let (other, isExact) = (found[step.origin.key], calibrated.products == .bfloat16)
      let isCommon = other == nil || other?.known == calibrated.ranges
      found[step.origin.key] = (
        isCommon ? calibrated.ranges : ActivationRanges(), isExact || other?.isExact == true,
        step.origin
      )
    }
    for (key, step) in found where ranges[key] == nil {
      (rows[key], columns[key], ranges[key]) = (nil, nil, (step.known, step.origin))
      if step.isExact { exact.insert(key) } else { exact.remove(key) }
    }
    return true
  }

  /// The step's weights without bytes.
  func exact(_ step: RowStep) -> RowMix { packed(step, precision.kernelFormat) }
  func exact(_ step: ColumnStep) -> ColumnMix { packed(step, precision.kernelFormat) }

  /// Takes weights without bytes from now on.
  func keep(_ mix: RowMix, for origin: WeightOrigin) {
    rows[origin.key] = (mix, origin)
    exact.insert(origin.key)
  }

  func keep(_ mix: ColumnMix, for origin: WeightOrigin) {
    columns[origin.key] = (mix, origin)
    exact.insert(origin.key)
  }

  private func packed(_ step: RowStep, _ format: PackedWeight.Format) -> RowMix {
    let (layer, hidden) = (rounded(step.layer, format), step.hidden.map { rounded($0, format) })
    return RowMix(
      epsilon: step.epsilon, hidden: hidden.map { ($0.weight, $0.bias, $0.activation) },
      weight: layer.weight, bias: layer.bias, activation: layer.activation, format: format)
  }

  private func packed(
    _ step: ColumnStep, _ format: PackedWeight.Format, isTurned: Bool = false
  ) -> ColumnMix {
    let (layer, hidden) = (rounded(step.layer, format), step.hidden.map { rounded($0, format) })
    return ColumnMix(
      normalization: step.normalization, affine: step.affine, entry: step.entry,
      hidden: hidden.map { ($0.weight, $0.bias, $0.activation) }, weight: layer.weight,
      bias: layer.bias, activation: layer.activation, resultScale: step.resultScale,
      sumActivation: step.sumActivation, format: format, isTurned: isTurned)
  }

  /// Weights that are not bytes have the precision of bfloat16 unless all is in float32.
  private func rounded(_ layer: PlannedLayer, _ format: PackedWeight.Format) -> PlannedLayer {
    layer.rounded(to: format == .bytes ? nil : precision.others.autocast)
  }
}
