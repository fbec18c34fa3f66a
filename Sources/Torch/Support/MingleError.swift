/// Something that a user can cause and mend: what, where, expected, got, next step.
///
/// Every error that Mingle throws is of this type. Programmers' errors (a wrong shape inside model
/// code) are not thrown: they stop the program with operator, shapes and dtypes.
public struct MingleError: Error, Hashable, Sendable {
  /// The class of failure; the command-line tool maps it to its exit code.
  public enum Kind: String, Sendable {
    /// A flag, a name or a configuration value that cannot be (exit code 64).
    case usage
    /// Data that cannot be read or does not fit (65).
    case badData
    /// An input that is not there (66).
    case missingInput
    /// Anything else that stopped the work: a full disk, a diverging run (1).
    case failed
    /// The user stopped the work (130).
    case interrupted
  }

  public let kind: Kind
  /// What is wrong, in a few words: "the file ends early".
  public let what: String
  /// The file, key, line or flag.
  public let place: String?
  public let expected: String?
  public let got: String?
  /// What to do next, as an instruction: "pass --image-size 224".
  public let next: String?

  public init(
    _ kind: Kind, _ what: String, in place: String? = nil, expected: String? = nil,
    got: String? = nil, next: String? = nil
  ) {
    self.kind = kind
    self.what = what
    self.place = place
    self.expected = expected
    self.got = got
    self.next = next
  }
}

extension MingleError: CustomStringConvertible {
  /// One line: `PLACE: WHAT: expected E, got G; NEXT`.
  public var description: String {
    var line = place.map { "\($0): " } ?? ""
    line += what
    switch (expected, got) {
    case (let expected?, let got?): line += ": expected \(expected), got \(got)"
    case (let expected?, nil): line += ": expected \(expected)"
    case (nil, let got?): line += ": got \(got)"
    case (nil, nil): break
    }
    if let next { line += "; \(next)" }
    return line.split(whereSeparator: \.isNewline).joined(separator: " ")
  }
}
