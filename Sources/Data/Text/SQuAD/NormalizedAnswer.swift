/// An answer as SQuAD's official scores compare it. What counts as a letter, a word or white space is
/// what Python takes for it, as the official programs are written in it.
package struct NormalizedAnswer: Hashable, Sendable {
  package let words: [String]

  package init(_ text: String) {
    let kept = Self.lowered(text).unicodeScalars.filter { !Self.isPunctuation($0) }
    words = Self.withoutArticles(Array(kept))
      .split(whereSeparator: Self.isSpace)
      .map { word in
        var scalars = String.UnicodeScalarView()
        scalars.append(contentsOf: word)
        return String(scalars)
      }
  }

  /// The harmonic mean of the shares of common words.
  ///
  /// - Parameter emptyCounts: two answers without words are alike (version 2.0), or share nothing
  ///   (version 1.1).
  func f1(against other: NormalizedAnswer, emptyCounts: Bool) -> Double {
    if emptyCounts, words.isEmpty || other.words.isEmpty {
      return words.isEmpty && other.words.isEmpty ? 1 : 0
    }
    var counts: [[Unicode.Scalar]: Int] = [:]
    for word in other.words { counts[Array(word.unicodeScalars), default: 0] += 1 }
    var common = 0
    for word in words {
      let key = Array(word.unicodeScalars)
      guard let count = counts[key], count > 0 else { continue }
      counts[key] = count - 1
      common += 1
    }
    guard common > 0 else { return 0 }
    let precision = Double(common) / Double(words.count)
    let recall = Double(common) / Double(other.words.count)
    return 2 * precision * recall / (precision + recall)
  }

  /// Equal scalar by scalar; Swift takes characters for equal that are composed differently.
  package static func == (a: NormalizedAnswer, b: NormalizedAnswer) -> Bool {
    a.words.count == b.words.count
      && zip(a.words, b.words).allSatisfy { $0.unicodeScalars.elementsEqual($1.unicodeScalars) }
  }

  /// Each run of word characters that is an article becomes a space.
  private static func withoutArticles(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
    var result: [Unicode.Scalar] = []
    var start = 0
    while start < scalars.count {
      guard isWord(scalars[start]) else {
        result.append(scalars[start])
        start += 1
        continue
      }
      var end = start
      while end < scalars.count, isWord(scalars[end]) { end += 1 }
      let run = scalars[start..<end]
      let isArticle = [["a"], ["a", "n"], ["t", "h", "e"]].contains { (article: [Unicode.Scalar]) in
        run.elementsEqual(article)
      }
      if isArticle { result.append(" ") } else { result += run }
      start = end
    }
    return result
  }

  private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: true
    default: false
    }
  }

  /// Python's `\w`: letters, numbers of all kinds, the underscore; no combining marks.
  private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII {
      return ("a"..."z").contains(scalar) || ("0"..."9").contains(scalar)
        || ("A"..."Z").contains(scalar) || scalar == "_"
    }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
      .decimalNumber:
      return true
    default: return scalar.properties.numericType != nil
    }
  }

  /// Python's `isspace`.
  private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    (0x1C...0x1F).contains(scalar.value) || scalar.properties.isWhitespace
  }

  /// Lower case; the Greek sigma at a word's end has a form of its own.
  private static func lowered(_ text: String) -> String {
    guard text.unicodeScalars.contains("\u{3A3}") else { return text.lowercased() }
    let scalars = Array(text.unicodeScalars)
    var result = ""
    for (index, scalar) in scalars.enumerated() {
      if scalar == "\u{3A3}" {
        result += isFinalSigma(index, in: scalars) ? "\u{3C2}" : "\u{3C3}"
      } else {
        result += scalar.properties.lowercaseMapping
      }
    }
    return result
  }

  /// Whether a cased letter comes before and none after, those that have no case left out.
  private static func isFinalSigma(_ index: Int, in scalars: [Unicode.Scalar]) -> Bool {
    let before = scalars[..<index].last { !$0.properties.isCaseIgnorable }
    let after = scalars[(index + 1)...].first { !$0.properties.isCaseIgnorable }
    return before?.properties.isCased ?? false && !(after?.properties.isCased ?? false)
  }
}
