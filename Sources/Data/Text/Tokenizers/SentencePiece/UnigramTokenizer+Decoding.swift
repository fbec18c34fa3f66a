extension UnigramTokenizer {
  /// The pieces in a row with spaces for `▁`, but for the first; control symbols are nothing, the unknown
  /// token is ` ⁇ `. Bytes that are no UTF-8 become replacement characters.
  public func decode(_ ids: [Int32]) -> String {
    var text: [UInt8] = []
    var bytes: [UInt8] = []
    var isAtStart = true
    var tookSpace = false
    for id in ids where model.pieces.indices.contains(Int(id)) {
      let piece = model.pieces[Int(id)]
      if piece.kind == .byte, let byte = piece.byte {
        bytes.append(byte)
        continue
      }
      append(bytes, to: &text)
      bytes.removeAll(keepingCapacity: true)
      if tookSpace || !text.isEmpty { isAtStart = false }
      tookSpace = append(piece, isAtStart: isAtStart, to: &text)
    }
    append(bytes, to: &text)
    if let denormalizer {
      text = text.withUnsafeBufferPointer { denormalizer.normalize($0).bytes }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// Returns whether the piece was the space before the first word, and the only one to go.
  private func append(
    _ piece: SentencePieceModel.Piece, isAtStart: Bool, to text: inout [UInt8]
  ) -> Bool {
    switch piece.kind {
    case .control: return false
    case .unknown:
      text += model.unknownSurface
      return false
    default: break
    }
    let settings = model.normalization
    var rest = piece.text[...]
    var tookSpace = false
    if isAtStart && (settings.addsDummyPrefix || settings.removesExtraSpaces),
      rest.starts(with: [0xE2, 0x96, 0x81])
    {
      rest = rest.dropFirst(3)
      tookSpace = !settings.removesExtraSpaces
    }
    while let space = rest.firstSpace {
      text += rest[..<space]
      text.append(0x20)
      rest = rest[(space + 3)...]
    }
    text += rest
    return tookSpace
  }

  /// Adds what byte pieces spell; each byte that is no part of a character is one replacement.
  private func append(_ bytes: [UInt8], to text: inout [UInt8]) {
    var rest = bytes[...]
    while let lead = rest.first {
      let length = characterLength(lead)
      let character = rest.prefix(length)
      if character.count == length, String(validating: character, as: UTF8.self) != nil {
        text += character
        rest = rest.dropFirst(length)
      } else {
        text += "\u{FFFD}".utf8
        rest = rest.dropFirst()
      }
    }
  }
}
