import ArgumentParser
import Mingle

/// Changes of a model's configuration, by the names that `mingle info` lists.
struct SettingOptions: ParsableArguments {
  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      "Change a configuration field, such as depth=4; 'mingle info MODEL' lists them. Repeatable.",
      valueName: "key=value"),
    transform: Setting.init(parsing:))
  var settings: [Setting] = []

  @Option(
    help: ArgumentHelp("Height and width of the input in pixels: 96 or 96x160.", valueName: "size"),
    transform: ImageSize.init(parsing:))
  var imageSize: ImageSize?

  @Option(help: ArgumentHelp("The number of classes.", valueName: "count"))
  var classes: Int?

  /// Which of these flags are given.
  var givenFlags: [String] {
    (settings.isEmpty ? [] : ["--set"]) + (imageSize == nil ? [] : ["--image-size"])
      + (classes == nil ? [] : ["--classes"])
  }

  /// All changes by field.
  ///
  /// - Throws: `MingleError` where a field is given twice.
  func fields() throws -> [String: String] {
    var given = settings.map { ($0.key, $0.value) }
    if let imageSize { given.append(("image_size", "\(imageSize)")) }
    if let classes { given.append(("classes", "\(classes)")) }
    var fields: [String: String] = [:]
    for (key, value) in given {
      if let other = fields.updateValue(value, forKey: key), other != value {
        throw MingleError(
          .usage, "the field '\(key)' is set twice", got: "\(other) and \(value)",
          next: "keep one of them")
      }
    }
    return fields
  }
}

/// A configuration field and its new value.
struct Setting: Sendable {
  let key: String
  let value: String

  init(parsing text: String) throws {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
      throw MingleError(.usage, "not KEY=VALUE", got: "'\(text)'", next: "write --set depth=4")
    }
    key = String(parts[0])
    value = String(parts[1])
  }
}
