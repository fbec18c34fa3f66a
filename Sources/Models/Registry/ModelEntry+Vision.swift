import Layers
import Torch

// What is only for models that read pictures.

extension ModelEntry {
  /// The type of a model that reads pictures.
  ///
  /// - Throws: `MingleError` if the model reads text.
  func visionType() throws -> any VisionModel.Type {
    guard let type = type as? any VisionModel.Type else {
      throw MingleError(
        .usage, "\(name) reads text, not pictures",
        next: "name a model of 'mingle models --reads pictures'")
    }
    return type
  }

  /// Builds a model that reads pictures, as ``model(settings:generator:)`` does.
  ///
  /// - Throws: `MingleError` also for a model that reads text.
  public func visionModel(
    settings: [String: String] = [:], generator: Generator?
  ) throws -> any VisionModel {
    try visionModel(configuration, settings: settings, generator: generator)
  }

  /// A model of this family from `base`, a configuration that was saved with weights.
  func visionModel(
    _ base: any ModelConfiguration, settings: [String: String], generator: Generator?
  ) throws -> any VisionModel {
    let type = try visionType()
    try checkMemory(base, settings: settings)
    return try type.init(json: json(of: base, with: settings), generator: generator)
  }

  /// A model for its shapes alone: its tensors have no memory.
  func visionOutline(
    _ base: any ModelConfiguration, settings: [String: String]
  ) throws -> any VisionModel {
    let type = try visionType()
    return try withoutMemory {
      try type.init(json: json(of: base, with: settings), generator: nil)
    }
  }

  /// The preprocessing for this model's pictures at `configuration`'s size and channels.
  func preprocessing(for configuration: any VisionConfiguration) -> Preprocessing {
    let published = preprocessing ?? Preprocessing(imageSize: configuration.imageSize)
    var result = published
    result.imageSize = configuration.imageSize
    if configuration.inputChannels != result.mean.count {
      func average(_ values: [Float]) -> Float { values.reduce(0, +) / Float(values.count) }
      let count = configuration.inputChannels
      result.mean = Array(repeating: average(published.mean), count: count)
      result.standardDeviation = Array(
        repeating: average(published.standardDeviation), count: count)
    }
    return result
  }
}

extension VisionModel {
  /// The registry's entries for networks of this type.
  ///
  /// - Parameter preprocessing: what published weights expect, but for the image size, which is the
  ///   configuration's.
  static func entries(
    family: String, paper: String, preprocessing: Preprocessing,
    _ variants: [Variant<Configuration>]
  ) -> [ModelEntry] {
    variants.map { variant in
      var preprocessing = preprocessing
      preprocessing.imageSize = variant.configuration.imageSize
      return ModelEntry(
        name: variant.name, family: family, paper: paper, configuration: variant.configuration,
        preprocessing: preprocessing, parameterCount: variant.parameters,
        multiplyAdds: variant.multiplyAdds, paperTop1: variant.top1, type: Self.self)
    }
  }
}
