import Data
import Synchronization

/// Words at spaces, in pieces of three characters; ids are hashes of the pieces.
struct TinyTokenizer: Tokenizer {
  var vocabularySize = 1000
  var name = "tiny"
  /// Counts the calls of `tokens(in:)`.
  let calls = CallCount()

  let special = SpecialTokens(
    unknown: 1, classification: 2, separator: 3, mask: 4, padding: 0)
  var fingerprint: String { "\(name) \(vocabularySize)" }

  func tokens(in text: String) -> [Token] {
    calls.add()
    var tokens: [Token] = []
    var offset = 0
    for word in text.unicodeScalars.split(
      omittingEmptySubsequences: false, whereSeparator: \.properties.isWhitespace)
    {
      var isFirst = true
      var rest = word
      while !rest.isEmpty {
        let piece = String(rest.prefix(3))
        let end = offset + piece.utf8.count
        tokens.append(Token(id: id(piece), range: offset..<end, startsWord: isFirst))
        isFirst = false
        offset = end
        rest = rest.dropFirst(3)
      }
      let index = word.endIndex
      if index < text.unicodeScalars.endIndex {
        offset += String(text.unicodeScalars[index]).utf8.count
      }
    }
    return tokens
  }

  func id(_ piece: String) -> Int32 {
    var hash: UInt32 = 2_166_136_261
    for byte in piece.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
    return 5 + Int32(hash % UInt32(vocabularySize - 5))
  }

  func decode(_ ids: [Int32]) -> String { "" }
  func text(of id: Int32) -> String { "" }
  func id(of piece: String) -> Int32? { nil }
}

final class CallCount: Sendable {
  private let count = Mutex(0)
  func add() { count.withLock { $0 += 1 } }
  var value: Int { count.withLock { $0 } }
}

/// All elements of a stream.
func all<Element>(_ stream: PreparedStream<Element>) throws -> [Element] {
  var elements: [Element] = []
  while let element = try stream.next() { elements.append(element) }
  return elements
}
