import Torch

/// Classes of samples that are labelled by name.
///
/// Class order: ascending by number when all names are whole numbers (`01` before `1`), else by the
/// names' bytes; or the order that is given.
struct Labels: Sendable {
  let classNames: [String]
  let indices: [Int]

  /// - Parameters:
  ///   - names: The class name of each sample.
  ///   - known: The classes of a model or a training part; others are then refused.
  init(_ names: [String], known: [String]?, in place: String) throws {
    let classNames = known ?? Set(names).inClassOrder()
    let index = Dictionary(
      classNames.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    self.classNames = classNames
    indices = try names.map { name in
      if let label = index[name] { return label }
      throw unknownClass(name, known: classNames, in: place)
    }
  }

  /// Classes known by number: 0 ..< `count`, or more when `known` has more names.
  ///
  /// - Throws: `MingleError` (`badData`) for a label without a name.
  init(numbers: [Int], names known: [String]?, in place: String) throws {
    let largest = numbers.max() ?? 0
    classNames = known ?? (0...largest).map(String.init)
    indices = numbers
    guard largest < classNames.count, (numbers.min() ?? 0) >= 0 else {
      throw MingleError(
        .badData, "a label out of range", in: place,
        expected: "0 to \(classNames.count - 1) (\(classNames.count) classes)", got: "\(largest)",
        next: "use the training data's classes")
    }
  }
}

func unknownClass(_ name: String, known: [String], in place: String) -> MingleError {
  let shown = known.prefix(8).joined(separator: ", ") + (known.count > 8 ? ", ..." : "")
  return MingleError(
    .badData, "a class that the training data or model does not have", in: place,
    expected: "one of \(known.count) classes (\(shown))", got: "'\(name)'",
    next: "rename or remove it")
}

func noSamples(in place: String, expected: String) -> MingleError {
  MingleError(.badData, "no samples", in: place, expected: expected)
}

extension Collection where Element == String {
  func inClassOrder() -> [String] {
    let names = sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    let numbers = names.compactMap { Int($0) }
    guard numbers.count == names.count else { return names }
    return zip(numbers, names.indices).sorted { $0 < $1 }.map { names[$1] }
  }
}

// MARK: Pictures by file name

enum FileKind {
  /// A format that Mingle decodes.
  case picture
  /// A picture that it does not: leaving it out would lose data without a word.
  case foreignPicture
  case other

  init(_ path: String) {
    let ending = path.split(separator: "/").last.map { $0.split(separator: ".") } ?? []
    guard ending.count > 1, let suffix = ending.last?.lowercased() else {
      self = .other
      return
    }
    switch suffix {
    case "jpg", "jpeg", "jpe", "jfif", "png": self = .picture
    case "webp", "gif", "bmp", "tif", "tiff", "heic", "heif", "avif", "jp2", "jxl", "ppm", "pgm":
      self = .foreignPicture
    default: self = .other
    }
  }

  static func foreign(_ path: String) -> MingleError {
    MingleError(
      .badData, "a picture in a format that Mingle does not read", in: path,
      expected: "JPEG or PNG", next: "convert it, or move it out of the data")
  }
}

/// Names that begin with a dot or `__MACOSX` are left by systems, not by people.
func isHidden(_ name: some StringProtocol) -> Bool {
  name.hasPrefix(".") || name == "__MACOSX"
}
