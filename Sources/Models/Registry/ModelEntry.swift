import Foundation
import Layers
import Torch

/// What a network reads.
public enum ModelInput: String, Codable, Sendable, CaseIterable {
  case pictures, text
}

/// A named model: its family, its configuration and what is known about it.
public struct ModelEntry: Sendable {
  /// "mixer_b16_224"; timm's name where timm has the model.
  public let name: String
  /// "MLP-Mixer".
  public let family: String
  /// "arXiv 2105.01601".
  public let paper: String
  public let configuration: any ModelConfiguration
  /// What the published weights of this name expect of pictures; nil where the model reads text.
  public let preprocessing: Preprocessing?
  /// Numbers that training changes, with the configuration's head; exact.
  public let parameterCount: Int
  /// Multiply-adds of matrix products and convolutions for one image; for one text as
  /// ``LanguageModel/summary()`` counts them; exact.
  public let multiplyAdds: Int
  /// The share in percent of ImageNet-1k's validation pictures that the paper's network, trained on
  /// ImageNet-1k alone, puts into the right class; nil where the paper prints none.
  public let paperTop1: Double?

  let type: any Model.Type

  public var input: ModelInput { type is any LanguageModel.Type ? .text : .pictures }
  /// What the model answers as it is configured: "image classification".
  public var task: String {
    (configuration as? any LanguageConfiguration)?.task.description ?? "image classification"
  }

  /// Builds the model.
  ///
  /// - Parameters:
  ///   - settings: fields to change, by their names in the configuration: `["classes": "10"]`.
  ///   - generator: draws the first weights; nil leaves them unset, to be loaded.
  /// - Throws: `MingleError` for an unknown field, a value that cannot be read, or sizes that do
  ///   not fit each other.
  public func model(
    settings: [String: String] = [:], generator: Generator?
  ) throws -> any Model {
    try checkMemory(configuration, settings: settings)
    return try type.init(json: json(of: configuration, with: settings), generator: generator)
  }

  /// - Throws: `MingleError` where the weights would not fit into the machine's memory.
  func checkMemory(_ base: any ModelConfiguration, settings: [String: String]) throws {
    let needed = try outline(base, settings: settings).state.reduce(0.0) {
      $0 + Double($1.tensor.count * $1.tensor.dtype.byteCount)
    }
    let memory = Double(ProcessInfo.processInfo.physicalMemory)
    guard needed < memory else {
      func gigabytes(_ bytes: Double) -> String { "\(Int((bytes / 1e9).rounded(.up))) GB" }
      throw MingleError(
        .usage, "the model's weights do not fit into memory", in: name,
        expected: "at most \(gigabytes(memory))", got: gigabytes(needed),
        next: input == .text
          ? "take a smaller vocabulary, depth or width"
          : "take a smaller image size, depth or width")
    }
  }

  /// A model for its shapes alone: its tensors have no memory.
  func outline(
    _ base: any ModelConfiguration, settings: [String: String]
  ) throws -> any Model {
    try withoutMemory { try type.init(json: json(of: base, with: settings), generator: nil) }
  }
}

/// A family's network under its name, with what the paper and exact counting tell.
struct Variant<Configuration: ModelConfiguration> {
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

extension ModelEntry {
  /// `base` with the fields of `settings` replaced.
  func json(
    of base: any ModelConfiguration, with settings: [String: String]
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

extension Model {
  init(json: Data, generator: Generator?) throws {
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
