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
  /// The share in percent of ImageNet-1k's validation pictures that the paper's network, trained on
  /// ImageNet-1k alone, puts into the right class; nil where the paper prints none.
  public let paperTop1: Double?

  let type: any VisionModel.Type

  /// Builds the model.
  ///
  /// - Parameters:
  ///   - settings: fields to change, by their names in the configuration: `["classes": "10"]`.
  ///   - generator: draws the first weights; nil leaves them unset, to be loaded.
  /// - Throws: `MingleError` for an unknown field, a value that cannot be read, or sizes that do
  ///   not fit each other.
  public func model(
    settings: [String: String] = [:], generator: Generator?
  ) throws -> any VisionModel {
    try model(configuration, settings: settings, generator: generator)
  }

  /// Builds a model of this family from `base`, a configuration that was saved with weights.
  ///
  /// - Throws: `MingleError` also where the weights would not fit into the machine's memory.
  func model(
    _ base: any VisionConfiguration, settings: [String: String], generator: Generator?
  ) throws -> any VisionModel {
    let needed = try outline(base, settings: settings).state.reduce(0.0) {
      $0 + Double($1.tensor.count * $1.tensor.dtype.byteCount)
    }
    let memory = Double(ProcessInfo.processInfo.physicalMemory)
    guard needed < memory else {
      func gigabytes(_ bytes: Double) -> String { "\(Int((bytes / 1e9).rounded(.up))) GB" }
      throw MingleError(
        .usage, "the model's weights do not fit into memory", in: name,
        expected: "at most \(gigabytes(memory))", got: gigabytes(needed),
        next: "take a smaller image size, depth or width")
    }
    return try type.init(json: json(of: base, with: settings), generator: generator)
  }

  /// A model for its shapes alone: its tensors have no memory.
  func outline(
    _ base: any VisionConfiguration, settings: [String: String]
  ) throws -> any VisionModel {
    try withoutMemory { try type.init(json: json(of: base, with: settings), generator: nil) }
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

/// A family's network under its name, with what the paper and exact counting tell.
struct Variant<Configuration: VisionConfiguration> {
  let name: String, configuration: Configuration
  let parameters: Int, multiplyAdds: Int
  let top1: Double?

  init(
    _ name: String, _ configuration: Configuration, parameters: Int, multiplyAdds: Int,
    top1: Double? = nil
  ) {
    self.name = name
    self.configuration = configuration
    self.parameters = parameters
    self.multiplyAdds = multiplyAdds
    self.top1 = top1
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

extension ModelEntry {
  /// `base` with the fields of `settings` replaced.
  private func json(
    of base: any VisionConfiguration, with settings: [String: String]
  ) throws -> Data {
    let plain = try JSONEncoder().encode(base)
    guard var fields = try JSONSerialization.jsonObject(with: plain) as? [String: Any] else {
      throw MingleError(.usage, "the configuration of \(name) is no JSON object")
    }
    for (key, text) in settings.sorted(by: { $0.key < $1.key }) {
      guard let current = fields[key] else {
        throw MingleError(
          .usage, "\(name) has no field '\(key)'",
          expected: fields.keys.sorted().joined(separator: ", "),
          next: nearest(to: key, among: fields.keys.sorted()).map { "did you mean '\($0)'?" })
      }
      fields[key] = current is [Any] ? text.split(separator: ",").map(jsonValue) : jsonValue(text)
      do {
        _ = try type.decodedConfiguration(JSONSerialization.data(withJSONObject: fields))
      } catch let error as MingleError {
        throw MingleError(
          error.kind, error.what, in: key, expected: error.expected, got: error.got,
          next: error.next)
      } catch {
        throw MingleError(
          .usage, "\(name) cannot take this value of '\(key)'",
          expected: "one such as \(settingText(current))", got: "'\(text)'")
      }
    }
    return try JSONSerialization.data(withJSONObject: fields)
  }
}

extension VisionModel {
  fileprivate init(json: Data, generator: Generator?) throws {
    try self.init(Self.decodedConfiguration(json), generator: generator)
  }

  fileprivate static func decodedConfiguration(_ json: Data) throws -> Configuration {
    try JSONDecoder().decode(Configuration.self, from: json)
  }

  /// The configuration that `file` holds as JSON text.
  ///
  /// - Throws: `MingleError` (`badData`) if it cannot be read, or cannot be.
  static func savedConfiguration(_ text: String, in file: String) throws -> Configuration {
    try savedValue(Configuration.self, "configuration", from: text, in: file) {
      try $0.validate()
    }
  }
}

/// A field's JSON value as it is set: `2,2,6,2`, `true`, `0.5`.
private func settingText(_ value: Any) -> String {
  if let list = value as? [Any] { return list.map(settingText).joined(separator: ",") }
  let json = (try? JSONSerialization.data(withJSONObject: [value])) ?? Data()
  return json == Data("[true]".utf8) ? "true" : json == Data("[false]".utf8) ? "false" : "\(value)"
}

/// `text` as the JSON number or truth value that it spells, else as a string.
private func jsonValue(_ text: some StringProtocol) -> Any {
  if let integer = Int(text) { return integer }
  // Not as hexadecimal: 0x9 is a size.
  if !text.contains("x"), let real = Double(text), real.isFinite { return real }
  return ["true": true, "false": false][String(text)] ?? String(text)
}
