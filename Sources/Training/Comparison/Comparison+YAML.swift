import Foundation
import Torch
import Yams

extension Comparison {
  /// Reads a comparison: a recipe whose keys hold for all runs, with a `title` and a list of `runs`,
  /// each with its `name` and the keys that differ.
  ///
  /// ```yaml
  /// title: Two sizes
  /// data: cifar10
  /// epochs: 5
  /// runs:
  ///   - {name: small, model: mixer_s16_224, settings: {depth: 4}}
  ///   - {name: large, model: mixer_s16_224, settings: {depth: 8}}
  /// ```
  ///
  /// - Throws: `MingleError` if the file is missing, is no YAML, or has a key or value that cannot be.
  public init(contentsOf path: String) throws {
    guard let data = FileManager.default.contents(atPath: path) else {
      let isThere = FileManager.default.fileExists(atPath: path)
      throw MingleError(
        .missingInput, isThere ? "the comparison cannot be read" : "no such file", in: path,
        expected: "a recipe with a list of 'runs'",
        next: isThere ? nil : "check the path's spelling")
    }
    try self.init(yaml: String(decoding: data, as: UTF8.self), from: path)
  }

  /// Reads a comparison from YAML text; `path` names it in errors.
  public init(yaml: String, from path: String? = nil) throws {
    let node: Node?
    do {
      node = try Yams.compose(yaml: yaml)
    } catch {
      let reason = (error as? YamlError)?.reason ?? "\(error)"
      throw MingleError(.badData, "no valid YAML: \(reason)", in: path)
    }
    guard var common = node?.mapping, let runs = common["runs"]?.sequence, !runs.isEmpty else {
      throw MingleError(
        .usage, "no comparison", in: path, expected: "a recipe with a list of 'runs'",
        next: "write 'runs:' and below it '- {name: small, model: mixer_s16_224}'")
    }
    title = common["title"]?.string ?? "Comparison"
    common["runs"] = nil
    common["title"] = nil
    try Recipe.checkKeys(of: common, in: path)
    entries = try runs.map { run in
      guard var own = run.mapping, let name = own["name"]?.string, isFolderName(name) else {
        throw MingleError(
          .usage, "a run has no name, or one that its folder cannot have", in: path,
          expected: "letters, digits, '-', '_', '.' and spaces, such as name: small",
          got: run.mapping?["name"]?.string)
      }
      own["name"] = nil
      let place = "\(path ?? "comparison"), run '\(name)'"
      try Recipe.checkKeys(of: own, in: place)
      let whole = try Yams.serialize(node: .mapping(common.merging(own)))
      return Entry(name: name, recipe: try Recipe(yaml: whole, from: place))
    }
    // Some file systems take capital and small letters for the same.
    if let twice = entries.map({ $0.name.lowercased() }).firstRepeated {
      throw MingleError(
        .usage, "two runs have the same name", in: path, got: twice, next: "name them apart")
    }
  }
}

extension Node.Mapping {
  /// These keys with those of `other` in their place; mappings below are merged in the same way.
  fileprivate func merging(_ other: Node.Mapping) -> Node.Mapping {
    var result = self
    for (key, value) in other {
      if let mine = result[key]?.mapping, let theirs = value.mapping {
        result[key] = .mapping(mine.merging(theirs))
      } else {
        result[key] = value
      }
    }
    return result
  }
}

/// Whether `name` can name a run's folder, beside the comparison's own files.
private func isFolderName(_ name: String) -> Bool {
  !name.isEmpty && name.utf8.count <= 100 && !name.hasPrefix(".")
    && !ComparisonResult.fileNames.contains(name.lowercased())
    && name.allSatisfy { $0.isLetter || $0.isNumber || "-_. ".contains($0) }
}

extension [String] {
  /// The first element that is there twice.
  fileprivate var firstRepeated: String? {
    var seen: Set<String> = []
    return first { !seen.insert($0).inserted }
  }
}
