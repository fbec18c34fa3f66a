import Layers
import Torch

// What is only for models that read text.

extension ModelEntry {
  /// The type of a model that reads text.
  ///
  /// - Throws: `MingleError` if the model reads pictures.
  func languageType() throws -> any LanguageModel.Type {
    guard let type = type as? any LanguageModel.Type else {
      throw MingleError(
        .usage, "\(name) reads pictures, not text",
        next: "name a model of 'mingle models --reads text'")
    }
    return type
  }

  /// Builds a model that reads text, as ``model(settings:generator:)`` does.
  ///
  /// - Throws: `MingleError` also for a model that reads pictures.
  public func languageModel(
    settings: [String: String] = [:], generator: Generator?
  ) throws -> any LanguageModel {
    try languageModel(configuration, settings: settings, generator: generator)
  }

  /// A model of this family from `base`, a configuration that was saved with weights.
  func languageModel(
    _ base: any ModelConfiguration, settings: [String: String], generator: Generator?
  ) throws -> any LanguageModel {
    let type = try languageType()
    try checkMemory(base, settings: settings)
    return try type.init(json: json(of: base, with: settings), generator: generator)
  }

  /// A model for its shapes alone: its tensors have no memory.
  func languageOutline(
    _ base: any ModelConfiguration, settings: [String: String]
  ) throws -> any LanguageModel {
    let type = try languageType()
    return try withoutMemory {
      try type.init(json: json(of: base, with: settings), generator: nil)
    }
  }
}

extension LanguageModel {
  /// The registry's entries for networks of this type.
  static func entries(
    family: String, paper: String, _ variants: [Variant<Configuration>]
  ) -> [ModelEntry] {
    variants.map { variant in
      ModelEntry(
        name: variant.name, family: family, paper: paper, configuration: variant.configuration,
        preprocessing: nil, parameterCount: variant.parameters,
        multiplyAdds: variant.multiplyAdds, paperTop1: nil, type: Self.self)
    }
  }
}
