/// The length of the character that a byte begins, by that byte alone: 1 to 4.
@inline(__always)
func characterLength(_ lead: UInt8) -> Int {
  if lead < 0xC0 { return 1 }
  return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
}

/// The character at `offset` of valid UTF-8 and its length.
@inline(__always)
func scalar(in text: UnsafeBufferPointer<UInt8>, at offset: Int) -> (value: UInt32, count: Int) {
  let lead = UInt32(text[offset])
  if lead < 0x80 { return (lead, 1) }
  let second = UInt32(text[offset + 1] & 0x3F)
  if lead < 0xE0 { return ((lead & 0x1F) << 6 | second, 2) }
  let third = UInt32(text[offset + 2] & 0x3F)
  if lead < 0xF0 { return ((lead & 0x0F) << 12 | second << 6 | third, 3) }
  return ((lead & 0x07) << 18 | second << 12 | third << 6 | UInt32(text[offset + 3] & 0x3F), 4)
}

/// Writes a character in UTF-8 and returns its length.
@inline(__always)
func encode(_ value: UInt32, at target: UnsafeMutablePointer<UInt8>) -> Int {
  if value < 0x80 {
    target[0] = UInt8(value)
    return 1
  }
  let last = UInt8(0x80 | value & 0x3F)
  if value < 0x800 {
    target[0] = UInt8(0xC0 | value >> 6)
    target[1] = last
    return 2
  }
  let third = UInt8(0x80 | value >> 6 & 0x3F)
  if value < 0x10000 {
    target[0] = UInt8(0xE0 | value >> 12)
    target[1] = third
    target[2] = last
    return 3
  }
  target[0] = UInt8(0xF0 | value >> 18)
  target[1] = UInt8(0x80 | value >> 12 & 0x3F)
  target[2] = third
  target[3] = last
  return 4
}
