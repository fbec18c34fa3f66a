import Foundation
import Layers
import Torch

/// A named model: its family, its configuration and what is known about it.
public struct ModelEntry: Sendable {
  /// "mixer_b16_224"; timm's name where timm has the model.
  public let name: String
  /// "MLP-Mixer".
  public let family: String
  /// "arXiv 2105.01601".
  public let paper: String
  public let configuration: any VisionConfiguration
  /// What the published weights of this name expect.
  public let preprocessing: Preprocessing
  /// Numbers that training changes, with the configuration's head; exact.
  public let parameterCount: Int
  /// Multiply-adds of matrix products and convolutions for one image; exact.
  public let multiplyAdds: Int

  let type: any VisionModel.Type
  private let build: @Sendable (Data, Generator?) throws -> any VisionModel

  init<Model: VisionModel>(
    _ name: String, _ type: Model.Type, _ configuration: Model.Configuration, family: String,
    paper: String, preprocessing: Preprocessing, parameters: Int, multiplyAdds: Int
  ) {
    self.name = name
    self.family = family
    self.paper = paper
    self.configuration = configuration
    self.preprocessing = preprocessing
    self.parameterCount = parameters
    self.multiplyAdds = multiplyAdds
    self.type = type
    build = { json, generator in
      let configuration: Model.Configuration
      do {
        configuration = try JSONDecoder().decode(Model.Configuration.self, from: json)
      } catch let error as DecodingError {
        throw error.mingleError(model: name)
      }
      return try Model(configuration, generator: generator)
    }
  }

  /// Builds the model.
  ///
  /// - Parameters:
  ///   - base: a configuration saved with weights; the entry's own without one.
  ///   - settings: fields to change, by their names in the configuration: `["classes": "10"]`.
  ///   - generator: draws the first weights; nil leaves them unset, to be loaded.
  /// - Throws: ``MingleError`` for an unknown field, a value that cannot be read, or sizes that do
  ///   not fit each other.
  public func model(
    base: Data? = nil, settings: [String: String] = [:], generator: Generator?
  ) throws -> any VisionModel {
    let plain = try base ?? JSONEncoder().encode(configuration)
    return try build(applying(settings, to: plain, model: name), generator)
  }

  /// The preprocessing for this model's pictures at `configuration`'s size and channels.
  func preprocessing(for configuration: any VisionConfiguration) -> Preprocessing {
    var result = preprocessing
    result.imageSize = configuration.imageSize
    if configuration.inputChannels != result.mean.count {
      func average(_ values: [Float]) -> Float { values.reduce(0, +) / Float(values.count) }
      let count = configuration.inputChannels
      result.mean = Array(repeating: average(preprocessing.mean), count: count)
      result.standardDeviation = Array(
        repeating: average(preprocessing.standardDeviation), count: count)
    }
    return result
  }
}

/// The configuration `json` with the fields of `settings` replaced.
private func applying(
  _ settings: [String: String], to json: Data, model: String
) throws -> Data {
  guard var fields = try JSONSerialization.jsonObject(with: json) as? [String: Any] else {
    throw MingleError(.badData, "the configuration of \(model) is no JSON object")
  }
  for (key, text) in settings {
    guard let current = fields[key] else {
      throw MingleError(
        .usage, "\(model) has no field '\(key)'",
        expected: fields.keys.sorted().joined(separator: ", "),
        next: nearest(to: key, among: fields.keys.sorted()).map { "did you mean '\($0)'?" })
    }
    fields[key] = current is [Any] ? text.split(separator: ",").map(jsonValue) : jsonValue(text)
  }
  return try JSONSerialization.data(withJSONObject: fields)
}

/// `text` as the JSON number or truth value that it spells, else as a string.
private func jsonValue(_ text: some StringProtocol) -> Any {
  if let integer = Int(text) { return integer }
  if let real = Double(text), real.isFinite { return real }
  return ["true": true, "false": false][String(text)] ?? String(text)
}

extension DecodingError {
  /// The field and what it should have been.
  fileprivate func mingleError(model: String) -> MingleError {
    let (context, missing): (Context, String?) =
      switch self {
      case .typeMismatch(_, let context), .valueNotFound(_, let context),
        .dataCorrupted(let context):
        (context, nil)
      case .keyNotFound(let key, let context): (context, key.stringValue)
      @unknown default: (Context(codingPath: [], debugDescription: ""), nil)
      }
    let field = missing ?? context.codingPath.map(\.stringValue).joined(separator: ".")
    return MingleError(
      .usage, "\(model) cannot take this value of '\(field)': \(context.debugDescription)")
  }
}
