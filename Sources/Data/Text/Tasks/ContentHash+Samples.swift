// Hashes by which a run that is resumed knows its data again.

extension EncodedExamples {
  /// A hash of all tokens and labels.
  package var contentHash: String {
    var hash = ContentHash()
    for text in texts { text.tokens.withUnsafeBytes { hash.add($0) } }
    switch examples.labels {
    case .none: break
    case .classes(let classes): classes.withUnsafeBytes { hash.add($0) }
    case .values(let values): values.withUnsafeBytes { hash.add($0) }
    }
    return String(hash.value, radix: 16)
  }
}

extension SQuADWindows {
  /// A hash of all tokens and answers.
  package var contentHash: String {
    var hash = ContentHash()
    for window in windows {
      window.text.tokens.withUnsafeBytes { hash.add($0) }
      [window.target?.start ?? -1, window.target?.end ?? -1].withUnsafeBytes { hash.add($0) }
    }
    return String(hash.value, radix: 16)
  }
}
