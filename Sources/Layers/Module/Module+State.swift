import Torch

/// How a set of tensors fits a module.
public struct StateReport: Sendable, Hashable {
  /// A tensor whose shape or dtype is not the module's.
  public struct Mismatch: Sendable, Hashable {
    public let key: String
    public let expected: String
    public let got: String
  }

  /// Keys of the module that the tensors lack.
  public var missing: [String] = []
  /// Keys of the tensors that the module lacks.
  public var unused: [String] = []
  public var mismatched: [Mismatch] = []

  public var fits: Bool { missing.isEmpty && unused.isEmpty && mismatched.isEmpty }

  /// The error that a strict load ends in.
  public func error(
    in place: String?, next: String = "check the model's name, image size and class count"
  ) -> MingleError {
    var parts: [String] = []
    if !mismatched.isEmpty {
      parts.append(
        "\(mismatched.count) of the wrong shape ("
          + listed(mismatched.map { "\($0.key): expected \($0.expected), got \($0.got)" }) + ")")
    }
    if !missing.isEmpty {
      parts.append(
        "\(missing.count) missing ("
          + listed(
            missing.map { key in
              nearest(to: key, among: unused).map { "\(key), nearest '\($0)'" } ?? key
            }) + ")")
    }
    if !unused.isEmpty { parts.append("\(unused.count) unused (\(listed(unused)))") }
    return MingleError(
      .badData, "the weights do not fit the model: " + parts.joined(separator: "; "), in: place,
      next: next)
  }

  private func listed(_ items: [String]) -> String {
    items.prefix(3).joined(separator: ", ")
      + (items.count > 3 ? ", and \(items.count - 3) more" : "")
  }
}

extension Module {
  /// All parameters and buffers by checkpoint key, in the order of declaration.
  public var state: [(name: String, tensor: Tensor)] {
    namedParameters.map { ($0.name, $0.parameter.tensor.detached()) }
      + namedBuffers.map { ($0.name, $0.buffer.tensor) }
  }

  /// How `tensors` fit this module, key by key. Floating-point tensors of any precision fit.
  public func report(on tensors: [String: Tensor]) -> StateReport {
    var report = StateReport()
    let own = state
    for (name, tensor) in own {
      guard let found = tensors[name] else {
        report.missing.append(name)
        continue
      }
      let fits =
        found.shape == tensor.shape
        && found.dtype.isFloatingPoint == tensor.dtype.isFloatingPoint
      if !fits {
        report.mismatched.append(
          .init(
            key: name, expected: "\(tensor.shape) \(tensor.dtype.name)",
            got: "\(found.shape) \(found.dtype.name)"))
      }
    }
    let names = Set(own.map(\.name))
    report.unused = tensors.keys.filter { !names.contains($0) }.sorted()
    return report
  }

  /// Copies `tensors` into the parameters and buffers of the same keys.
  ///
  /// - Parameter place: where the tensors come from, for the error.
  /// - Throws: `MingleError` unless keys and shapes fit exactly; nothing is changed then.
  public func load(_ tensors: [String: Tensor], from place: String? = nil) throws {
    let report = report(on: tensors)
    guard report.fits else { throw report.error(in: place) }
    withoutGradients {
      for (name, tensor) in state {
        if let source = tensors[name] { tensor.copyInPlace(source) }
      }
    }
  }
}

/// The candidate with the fewest edits from `name`, if they are few enough to be a likely match.
package func nearest(to name: String, among candidates: [String]) -> String? {
  let limit = max(2, name.count / 3)
  return candidates.map { ($0, editDistance(name, $0)) }.filter { $0.1 <= limit }
    .min { $0.1 < $1.1 }?.0
}

private func editDistance(_ a: String, _ b: String) -> Int {
  let (a, b) = (Array(a.utf8), Array(b.utf8))
  var row = Array(0...b.count)
  for i in 0..<a.count {
    var diagonal = row[0]
    row[0] = i + 1
    for j in 0..<b.count {
      let substitution = diagonal + (a[i] == b[j] ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(substitution, row[j] + 1, diagonal + 1)
    }
  }
  return row[b.count]
}
