/// Splits a text into words as BERT does and cleans them.
///
/// Control characters go, white space parts words, Chinese characters and punctuation are words of
/// their own. With `lowercases`, characters come apart (NFD), accents go, and the rest is lower-cased.
struct BertWords {
  /// A word longer than this is not looked up at all.
  static let longestWord = 100

  /// One word, ready to be looked up. Its memory is the splitter's and lasts no longer than that.
  struct Word {
    /// Room for the longest word: 100 characters of at most four bytes.
    static let capacity = 4 * BertWords.longestWord

    /// The cleaned characters in UTF-8; incomplete when the word is too long.
    let bytes: UnsafeMutablePointer<UInt8>
    private(set) var byteCount = 0
    /// For each byte, the range of text that its character comes from.
    let starts: UnsafeMutablePointer<Int>
    let ends: UnsafeMutablePointer<Int>
    private(set) var characterCount = 0
    /// The range of text from the first to the last character.
    private(set) var range: Range<Int> = 0..<0

    init() {
      bytes = .allocate(capacity: Self.capacity)
      starts = .allocate(capacity: Self.capacity)
      ends = .allocate(capacity: Self.capacity)
    }

    func deallocate() {
      bytes.deallocate()
      starts.deallocate()
      ends.deallocate()
    }

    var isTooLong: Bool { characterCount > BertWords.longestWord }

    @inline(__always)
    mutating func clear() {
      byteCount = 0
      characterCount = 0
    }

    @inline(__always)
    mutating func append(_ value: UInt32, from start: Int, to end: Int) {
      range =
        characterCount == 0
        ? start..<end : min(range.lowerBound, start)..<max(range.upperBound, end)
      characterCount += 1
      guard characterCount <= BertWords.longestWord else { return }
      let count = encode(value, at: bytes + byteCount)
      for index in byteCount..<byteCount + count {
        starts[index] = start
        ends[index] = end
      }
      byteCount += count
    }
  }

  /// A character that waits for its place among the marks around it.
  private struct Mark {
    let scalar: Unicode.Scalar, order: UInt8, source: Range<Int>
  }

  let lowercases: Bool
  private var word = Word()
  private var marks: [Mark] = []

  /// Owns memory: call ``deallocate()`` at the end.
  init(lowercases: Bool) { self.lowercases = lowercases }

  func deallocate() { word.deallocate() }

  /// Calls `body` with each word of `text[range]`.
  mutating func forEach(
    in text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ body: (Word) -> Void
  ) {
    var offset = range.lowerBound
    BertCharacters.ascii.withUnsafeBufferPointer { ascii in
      while offset < range.upperBound {
        let lead = text[offset]
        if lead < 128 {
          addASCII(lead, ascii[Int(lead)], at: offset, body)
          offset += 1
        } else {
          let (value, count) = scalar(in: text, at: offset)
          if let scalar = Unicode.Scalar(value) { add(scalar, offset..<offset + count, body) }
          offset += count
        }
      }
    }
    finish(body)
  }

  @inline(__always)
  private mutating func addASCII(
    _ byte: UInt8, _ kind: BertCharacterClass, at offset: Int, _ body: (Word) -> Void
  ) {
    if kind == .dropped { return }
    if !marks.isEmpty { placeMarks(body) }
    let isCapital = byte &- UInt8(ascii: "A") < 26
    switch kind {
    case .letter:
      word.append(
        UInt32(isCapital && lowercases ? byte | 0x20 : byte), from: offset, to: offset + 1)
    case .space:
      finish(body)
    default:
      finish(body)
      word.append(UInt32(byte), from: offset, to: offset + 1)
      finish(body)
    }
  }

  private mutating func add(
    _ scalar: Unicode.Scalar, _ source: Range<Int>, _ body: (Word) -> Void
  ) {
    let kind = BertCharacters.classify(scalar.value)
    switch kind {
    case .dropped:
      return
    case .space:
      finish(body)
    case .ideograph:
      finish(body)
      addParts(of: scalar, source, body)
      finish(body)
    case .letter, .punctuation:
      addParts(of: scalar, source, body)
    }
  }

  private mutating func addParts(
    of scalar: Unicode.Scalar, _ source: Range<Int>, _ body: (Word) -> Void
  ) {
    guard lowercases else { return place(scalar, source, body) }
    var parts: (Unicode.Scalar, Unicode.Scalar, Unicode.Scalar, Unicode.Scalar) =
      (scalar, scalar, scalar, scalar)
    var count = 0
    Decomposition.shared.forEachPart(of: scalar) { part in
      switch count {
      case 0: parts.0 = part
      case 1: parts.1 = part
      case 2: parts.2 = part
      default: parts.3 = part
      }
      count += 1
    }
    order(parts.0, source, body)
    if count > 1 { order(parts.1, source, body) }
    if count > 2 { order(parts.2, source, body) }
    if count > 3 { order(parts.3, source, body) }
  }

  /// Marks wait until a character comes that stays in place; accents are left out at once.
  private mutating func order(
    _ scalar: Unicode.Scalar, _ source: Range<Int>, _ body: (Word) -> Void
  ) {
    let order = Decomposition.combiningClass(of: scalar)
    if order == 0 {
      if !marks.isEmpty { placeMarks(body) }
      if !BertCharacters.isAccent(scalar) { place(scalar, source, body) }
    } else if !BertCharacters.isAccent(scalar) {
      marks.append(Mark(scalar: scalar, order: order, source: source))
    }
  }

  private mutating func placeMarks(_ body: (Word) -> Void) {
    // Stable: `sorted` keeps equal elements' order.
    let sorted = marks.count == 1 ? marks : marks.sorted { $0.order < $1.order }
    marks.removeAll(keepingCapacity: true)
    for mark in sorted { place(mark.scalar, mark.source, body) }
  }

  private mutating func place(
    _ scalar: Unicode.Scalar, _ source: Range<Int>, _ body: (Word) -> Void
  ) {
    let kind = BertCharacters.classify(scalar.value)
    if kind == .punctuation {
      flush(body)
      word.append(scalar.value, from: source.lowerBound, to: source.upperBound)
      flush(body)
    } else if lowercases && scalar.properties.changesWhenLowercased {
      for lower in scalar.properties.lowercaseMapping.unicodeScalars {
        word.append(lower.value, from: source.lowerBound, to: source.upperBound)
      }
    } else {
      word.append(scalar.value, from: source.lowerBound, to: source.upperBound)
    }
  }

  /// Ends the word where the text parts.
  private mutating func finish(_ body: (Word) -> Void) {
    if !marks.isEmpty { placeMarks(body) }
    flush(body)
  }

  private mutating func flush(_ body: (Word) -> Void) {
    guard word.characterCount > 0 else { return }
    body(word)
    word.clear()
  }
}
