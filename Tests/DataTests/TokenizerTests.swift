import Data
import Foundation
import Testing
import Torch

/// The files that `Tools/tokenizer-goldens.py` made with the PyPI packages.
private let goldens = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")

/// A text and what a package makes of it.
private struct GoldenTokens: Decodable {
  let text: String
  let ids: [Int32]
  let ranges: [[Int]]
  let decoded: String

  init(from decoder: any Decoder) throws {
    var values = try decoder.unkeyedContainer()
    text = try values.decode(String.self)
    ids = try values.decode([Int32].self)
    ranges = try values.decode([[Int]].self)
    decoded = try values.decode(String.self)
  }
}

private struct Goldens: Decodable {
  let cased: [GoldenTokens]
  let uncased: [GoldenTokens]
  let unigram: [GoldenTokens]
  let bytes: [GoldenTokens]

  static func read() throws -> Goldens {
    let data = try Foundation.Data(contentsOf: goldens.appending(path: "tokens.json"))
    return try JSONDecoder().decode(Goldens.self, from: data)
  }
}

private func golden(_ name: String) -> String { goldens.appending(path: name).path }

@Suite struct TokenizerTests {
  @Test(arguments: [false, true]) func wordPiecesAreThePackages(lowercases: Bool) throws {
    let tokenizer = try WordPieceTokenizer(vocabulary: golden("vocab.txt"), lowercases: lowercases)
    let cases = try Goldens.read()
    for item in lowercases ? cases.uncased : cases.cased {
      let tokens = tokenizer.tokens(in: item.text)
      #expect(tokens.map(\.id) == item.ids, "\(item.text.debugDescription)")
      #expect(tokenizer.encode(item.text) == item.ids)
      #expect(tokenizer.decode(item.ids) == item.decoded)
      // Where marks change places, the package counts ranges in the changed text.
      let isPlain = !item.text.unicodeScalars.contains {
        $0.properties.canonicalCombiningClass != .notReordered
      }
      guard isPlain else { continue }
      let ranges = tokens.map { [$0.range.lowerBound, $0.range.upperBound] }
      #expect(ranges == item.ranges, "\(item.text.debugDescription)")
    }
  }

  @Test(arguments: ["unigram", "bytes"]) func unigramPiecesAreThePackages(name: String) throws {
    let tokenizer = try openTokenizer(at: golden("\(name).model"))
    let cases = try Goldens.read()
    for item in name == "bytes" ? cases.bytes : cases.unigram {
      let tokens = tokenizer.tokens(in: item.text)
      #expect(tokens.map(\.id) == item.ids, "\(item.text.debugDescription)")
      #expect(tokenizer.encode(item.text) == item.ids)
      let ranges = tokens.map { [$0.range.lowerBound, $0.range.upperBound] }
      #expect(ranges == item.ranges, "\(item.text.debugDescription)")
      #expect(tokenizer.decode(item.ids) == item.decoded, "\(item.text.debugDescription)")
    }
  }

  /// Positive scores compete with user-defined symbols, whose own scores the package does not look at.
  @Test func userDefinedSymbolsScoreAsThePackageScoresThem() throws {
    struct Case: Decodable {
      let text: String, ids: [Int32]
      init(from decoder: any Decoder) throws {
        var values = try decoder.unkeyedContainer()
        text = try values.decode(String.self)
        ids = try values.decode([Int32].self)
      }
    }
    let data = try Foundation.Data(contentsOf: goldens.appending(path: "symbols.json"))
    let tokenizer = try openTokenizer(at: golden("symbols.model"))
    for item in try JSONDecoder().decode([Case].self, from: data) {
      #expect(tokenizer.encode(item.text) == item.ids, "\(item.text)")
    }
  }

  @Test func specialTokensAreFound() throws {
    let unigram = try openTokenizer(at: golden("unigram.model"))
    let expected = SpecialTokens(
      unknown: 1, classification: 2, separator: 3, mask: 4, padding: 0)
    #expect(unigram.special == expected)
    #expect(unigram.special.ids == [0, 1, 2, 3, 4])
    let words = try openTokenizer(at: golden("vocab.txt"))
    #expect(words.text(of: words.special.unknown) == "[UNK]")
    #expect(words.special.mask == words.id(of: "[MASK]"))
    #expect(words.encode("a [MASK] b").contains(try words.special.require(\.mask)))
    // A model made for something else lacks some, and says which.
    let bytes = try openTokenizer(at: golden("bytes.model"))
    let error = mingleError { try bytes.special.require(\.separator) }
    #expect(error?.what.contains("<sep>") == true)
  }

  @Test func wordsBegin() throws {
    let words = try openTokenizer(at: golden("vocab.txt"))
    let tokens = words.tokens(in: "unaffable, networks")
    let starts = tokens.map(\.startsWord)
    let inside = tokens.map { words.text(of: $0.id).hasPrefix("##") }
    #expect(starts == inside.map { !$0 })
    #expect(inside.contains(true))
    let unigram = try openTokenizer(at: golden("unigram.model"))
    let pieces = unigram.tokens(in: "unaffable networks zzz")
    #expect(pieces.count { $0.startsWord } == 3)
    #expect(pieces.first?.startsWord == true)
  }

  @Test func idsOutsideTheVocabularyAreNothing() throws {
    for name in ["vocab.txt", "unigram.model"] {
      let tokenizer = try openTokenizer(at: golden(name))
      #expect(tokenizer.decode([-1, Int32(tokenizer.vocabularySize), .max, .min]).isEmpty)
      #expect(tokenizer.text(of: -1).isEmpty)
      #expect(tokenizer.id(of: "no such piece") == nil)
      for id in stride(from: Int32(0), to: Int32(tokenizer.vocabularySize), by: 97) {
        #expect(tokenizer.id(of: tokenizer.text(of: id)) == id)
      }
    }
  }

  /// A line of a megabyte takes a moment; a quadratic step would take hours.
  @Test(arguments: ["vocab.txt", "unigram.model"]) func longLinesTakeLinearTime(name: String) throws
  {
    let tokenizer = try openTokenizer(at: golden(name))
    for unit in ["a", "ab.", "é", "汉", "e\u{0301}", "\u{302E}\u{1D165}", "[", "\u{2581}", "😀"] {
      let text = String(repeating: unit, count: 300_000 / unit.utf8.count)
      let tokens = tokenizer.tokens(in: text)
      #expect(tokens.allSatisfy { $0.range.upperBound <= text.utf8.count })
    }
  }

  @Test func fingerprintsTellTokenizersApart() throws {
    let cased = try WordPieceTokenizer(vocabulary: golden("vocab.txt"), lowercases: false)
    let uncased = try WordPieceTokenizer(vocabulary: golden("vocab.txt"), lowercases: true)
    let again = try WordPieceTokenizer(vocabulary: golden("vocab.txt"), lowercases: false)
    let unigram = try openTokenizer(at: golden("unigram.model"))
    #expect(cased.fingerprint == again.fingerprint)
    #expect(Set([cased, uncased, unigram].map { ($0 as any Tokenizer).fingerprint }).count == 3)
    #expect(unigram.fingerprint.count == 64)
  }

  @Test func hashIsTheStandards() {
    var hash = SHA256()
    hash.update("abc")
    #expect(
      hash.hexadecimal == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    var long = SHA256()
    for _ in 0..<1000 { long.update(String(repeating: "a", count: 1000)) }
    #expect(
      long.hexadecimal == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    #expect(
      SHA256().hexadecimal == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
  }
}
