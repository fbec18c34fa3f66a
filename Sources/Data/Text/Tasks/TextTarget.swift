import Torch

/// What a text is to be given: one of some classes, or a real number.
public enum TextTarget: Codable, Hashable, Sendable {
  /// The classes in label order.
  case classes([String])
  /// A number, as STS-B's similarity.
  case value

  /// The outputs that a model needs.
  public var outputCount: Int {
    switch self {
    case .classes(let names): names.count
    case .value: 1
    }
  }
}

/// The labels of texts.
public enum TextLabels: Hashable, Sendable {
  /// There are none: texts to be judged.
  case none
  /// Places in the classes of the target.
  case classes([Int])
  case values([Double])

  /// Reads labels as `target` says, or else as they are: fractions among numbers make them values;
  /// else they are classes, ordered by number or by the bytes of their names.
  ///
  /// - Parameters:
  ///   - labels: as the table spells them, with their lines.
  /// - Throws: `MingleError` (`badData`) that names the row of a label that cannot be.
  static func read(
    _ labels: [(text: String, line: Int)], as target: TextTarget?, in path: String
  ) throws -> (TextLabels, TextTarget) {
    let target = target ?? found(in: labels.map(\.text))
    switch target {
    case .value:
      let values = try labels.map { label in
        if let value = Double(label.text), value.isFinite { return value }
        throw MingleError(
          .badData, "a label that is no number", in: "\(path), line \(label.line)",
          got: "'\(label.text.prefix(80))'", next: "mend or remove the row")
      }
      return (.values(values), target)
    case .classes(let names):
      let index = Dictionary(
        names.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
      let indices = try labels.map { label in
        if let index = index[label.text] { return index }
        throw unknownClass(
          String(label.text.prefix(80)), known: names, in: "\(path), line \(label.line)")
      }
      return (.classes(indices), target)
    }
  }

  private static func found(in labels: [String]) -> TextTarget {
    let names = Set(labels)
    // One that is not finite is told when the labels are read.
    let numbers = names.compactMap { Double($0) }
    let areNumbers = numbers.count == names.count
    if areNumbers, numbers.contains(where: { $0 != $0.rounded() }) { return .value }
    return .classes(names.inClassOrder())
  }
}
