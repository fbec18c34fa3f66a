import Layers
import Torch

// Weights into a model. A model without memory tells all shapes, so nothing is allocated or touched
// before the weights are known to fit.

extension ModelEntry {
  /// A model with the weights `tensors` of `file`, after what `options` ask for.
  ///
  /// - Parameter saved: the configuration that the file tells, if it does.
  /// - Throws: `MingleError` for weights that do not fit, and settings that cannot be.
  func loading(
    _ tensors: [String: Tensor], from file: String, saved: (any VisionConfiguration)?,
    _ options: LoadOptions
  ) throws -> any VisionModel {
    let type = try visionType()
    let base: any ModelConfiguration = saved ?? configuration
    let generator: Generator? =
      switch options.head {
      case .kept: nil
      case .fresh(let generator): generator
      }
    let wanted = try visionOutline(base, settings: options.settings)
    let source = try source(of: tensors, saved: saved, wanted: wanted, options.settings)

    let kept = generator == nil ? tensors : tensors.filter { !type.isHead($0.key) }
    var report = source.report(on: kept)
    if generator != nil { report.missing.removeAll(where: type.isHead) }
    guard report.fits else { throw report.error(in: file) }

    func loaded(_ tensors: [String: Tensor], at size: ImageSize) throws -> any VisionModel {
      let model = try visionModel(
        base, settings: options.settings.replacing(imageSize: size), generator: generator)
      let head = generator == nil ? [] : model.state.filter { type.isHead($0.name) }
      try model.load(
        tensors.merging(head.map { ($0.name, $0.tensor) }) { $1 }, from: file)
      return model
    }
    let (size, oldSize) = (wanted.configuration.imageSize, source.configuration.imageSize)
    guard let grid = wanted.tokenGrid, let oldGrid = source.tokenGrid, grid != oldGrid else {
      return try loaded(kept, at: size)
    }
    let canInterpolate = kept.keys.contains { !type.tokenAxes(of: $0).isEmpty }
    switch options.resizeTokens {
    case nil:
      throw MingleError(
        .badData,
        "the weights mix \(oldGrid.sides) tokens (image size \(oldSize)), but image size "
          + "\(size) has \(grid.sides)", in: file,
        next: "pass --image-size \(oldSize)"
          + (canInterpolate ? ", or --resize-tokens interpolate" : ""))
    case .interpolate:
      guard canInterpolate else {
        throw MingleError(
          .usage, "weights of \(family) cannot be fitted to another number of tokens", in: file,
          expected: "image size \(oldSize)", got: "\(size)", next: "pass --image-size \(oldSize)")
      }
      let fitted = type.interpolatingTokens(kept, from: oldGrid, to: grid)
      return try loaded(fitted, at: size)
    case .blockDiagonal:
      let factor = size.height / oldSize.height
      guard source is Mixer, size == ImageSize(oldSize.height * factor, oldSize.width * factor),
        let mixer = try loaded(kept, at: oldSize) as? Mixer
      else {
        throw MingleError(
          .usage, "the block-diagonal scheme needs a Mixer and an integer multiple of its size",
          in: file, expected: "a multiple of \(oldSize)", got: "\(family) at \(size)",
          next: "use --resize-tokens interpolate")
      }
      return try mixer.enlarged(by: factor)
    }
  }

  /// The model that `tensors` were made for, without memory: at the image size that the file tells,
  /// else at one with as many tokens as they mix (the wanted one, the entry's own, a square).
  private func source(
    of tensors: [String: Tensor], saved: (any VisionConfiguration)?, wanted: any VisionModel,
    _ settings: [String: String]
  ) throws -> any VisionModel {
    if let saved {
      // Settings that fit the wanted size alone cannot tell anything about the file.
      let own = settings.replacing(imageSize: saved.imageSize)
      return try (try? visionOutline(saved, settings: own)) ?? visionOutline(saved, settings: [:])
    }
    guard let tokens = try visionType().tokenCount(in: tensors), let grid = wanted.tokenGrid else {
      return wanted
    }
    let side = Int(Double(tokens).squareRoot())
    let size = wanted.configuration.imageSize
    let ownSize = (self.configuration as? any VisionConfiguration)?.imageSize ?? size
    let square = ImageSize(side * (size.height / grid.height), side * (size.width / grid.width))
    let candidates = [size, ownSize, square].lazy.compactMap { size in
      try? visionOutline(configuration, settings: settings.replacing(imageSize: size))
    }
    return candidates.first { $0.tokenGrid?.area == tokens } ?? wanted
  }
}

extension [String: String] {
  fileprivate func replacing(imageSize: ImageSize) -> [String: String] {
    merging(["image_size": "\(imageSize)"]) { $1 }
  }
}

extension ImageSize {
  /// "4x4", also for a square.
  fileprivate var sides: String { "\(height)x\(width)" }
}
