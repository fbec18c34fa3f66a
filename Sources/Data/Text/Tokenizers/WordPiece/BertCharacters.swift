/// What BERT's text preparation does with a character.
enum BertCharacterClass: UInt8 {
  /// Part of a word.
  case letter
  /// Control and private characters: left out.
  case dropped
  case space
  /// A word of its own.
  case punctuation
  /// Chinese: a word of its own.
  case ideograph
}

/// The characters' classes as the PyPI package `tokenizers` 0.23 sees them.
///
/// Its tables are of Unicode 8, so that younger characters are letters, whatever they are today; a few
/// characters changed their class since. `Tools/compare/tokenizers_vs_pypi.py` compares all code points.
enum BertCharacters {
  static let ascii: [BertCharacterClass] = (0..<128).map { classify(UInt32($0)) }

  static func classify(_ value: UInt32) -> BertCharacterClass {
    guard let scalar = Unicode.Scalar(value), value != 0, value != 0xFFFD else { return .dropped }
    if value == 9 || value == 10 || value == 13 { return .space }
    let properties = scalar.properties
    switch properties.generalCategory {
    case .control, .privateUse, .surrogate:
      return .dropped
    case .format:
      return isOld(properties) ? .dropped : .letter
    case .spaceSeparator, .lineSeparator, .paragraphSeparator:
      return .space
    case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation,
      .initialPunctuation, .finalPunctuation, .otherPunctuation:
      return isOld(properties) ? .punctuation : .letter
    case .currencySymbol, .mathSymbol, .modifierSymbol:
      return value < 128 ? .punctuation : .letter  // $ + < = > ^ ` | ~
    case .otherSymbol:
      return value == 0x166D ? .punctuation : .letter
    case .nonspacingMark:
      return value == 0x111C9 ? .punctuation : .letter
    case .otherLetter, .unassigned:
      return isIdeograph(value) ? .ideograph : .letter
    default:
      return .letter
    }
  }

  /// Whether an accent-stripping tokenizer leaves the character out: a mark that takes no space.
  static func isAccent(_ scalar: Unicode.Scalar) -> Bool {
    let properties = scalar.properties
    switch properties.generalCategory {
    case .nonspacingMark:
      return isOld(properties)
        && !(0x1885...0x1886).contains(scalar.value) && scalar.value != 0xA9BD
        && scalar.value != 0x111C9
    case .spacingMark:
      return scalar.value == 0x1734 || scalar.value == 0x1171E
    default:
      return false
    }
  }

  /// The blocks that BERT's reference code calls Chinese, its slip at 2B820 included.
  private static func isIdeograph(_ value: UInt32) -> Bool {
    switch value {
    case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0xF900...0xFAFF, 0x20000...0x2A6DF, 0x2A700...0x2B73F,
      0x2B740...0x2B81F, 0x2B920...0x2CEAF, 0x2F800...0x2FA1F:
      true
    default:
      false
    }
  }

  /// Whether Unicode 8 had the character.
  private static func isOld(_ properties: Unicode.Scalar.Properties) -> Bool {
    guard let age = properties.age else { return false }
    return age.major < 8 || age == (8, 0)
  }
}
