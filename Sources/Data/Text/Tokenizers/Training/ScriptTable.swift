/// The scripts of characters, found when they are asked for.
///
/// The standard library tells scripts through regular expressions only, which is slow, so that each
/// character is looked up once.
struct ScriptTable {
  /// No script yet: before the first character.
  static let any: Int16 = -1
  static let inherited: Int16 = -2
  private static let han: Int16 = 1
  private static let common: Int16 = 0

  private var known: [UInt32: Int16] = [:]
  private let patterns: [Regex<AnyRegexOutput>]

  init() {
    patterns = Self.names.compactMap { try? Regex("\\p{Script=\($0)}") }
  }

  mutating func script(of value: UInt32) -> Int16 {
    if value < 0x80 {
      let isLetter = (value | 0x20) &- 0x61 < 26
      return isLetter ? 2 : Self.common
    }
    if let script = known[value] { return script }
    let script = lookUp(value)
    known[value] = script
    return script
  }

  private func lookUp(_ value: UInt32) -> Int16 {
    if value == 0x30FC { return Self.han }
    guard let scalar = Unicode.Scalar(value) else { return Self.common }
    let text = String(scalar)
    let index = patterns.firstIndex { (try? $0.wholeMatch(in: text)) != nil } ?? 0
    switch Self.names[index] {
    case "Inherited": return Self.inherited
    case "Hiragana", "Katakana": return Self.han
    default: return Int16(index)
    }
  }

  /// The scripts, the frequent ones first: Common is 0, Han 1, Latin 2.
  private static let names = """
    Common Han Latin Cyrillic Greek Arabic Hiragana Katakana Hangul Hebrew Devanagari Thai Bengali Tamil \
    Inherited Telugu Gujarati Kannada Malayalam Gurmukhi Georgian Armenian Ethiopic Khmer Lao Myanmar \
    Sinhala Tibetan Mongolian Oriya Cherokee Bopomofo Syriac Thaana Braille Canadian_Aboriginal Coptic \
    Gothic Runic Ogham Yi Tagalog Buhid Hanunoo Tagbanwa Limbu Tai_Le New_Tai_Lue Buginese Glagolitic \
    Tifinagh Syloti_Nagri Nko Balinese Phags_Pa Sundanese Lepcha Ol_Chiki Vai Saurashtra Kayah_Li Rejang \
    Cham Tai_Tham Tai_Viet Samaritan Lisu Bamum Javanese Meetei_Mayek Batak Mandaic Linear_B Ugaritic \
    Shavian Osmanya Cypriot Deseret Kharoshthi Phoenician Cuneiform Lycian Carian Lydian Avestan \
    Egyptian_Hieroglyphs Imperial_Aramaic Old_South_Arabian Inscriptional_Parthian \
    Inscriptional_Pahlavi Old_Turkic Kaithi Brahmi Chakma Sharada Sora_Sompeng Takri Miao
    """.split(separator: " ").map(String.init)
}
