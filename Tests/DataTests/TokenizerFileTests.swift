import Data
import Foundation
import Testing
import Torch

private func golden(_ name: String) throws -> [UInt8] {
  let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")
  return Array(try Foundation.Data(contentsOf: folder.appending(path: name)))
}

@Suite struct TokenizerFileTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test func missingAndEmptyFiles() throws {
    #expect(mingleError { try openTokenizer(at: "/no/such/file") }?.kind == .missingInput)
    #expect(mingleError { try openTokenizer(at: folder.path) }?.kind == .badData)
    let empty = try folder.write("vocab.txt", "")
    #expect(mingleError { try openTokenizer(at: empty) }?.what.contains("empty") == true)
  }

  @Test func vocabulariesThatAreNone() throws {
    let text = try folder.write("a.txt", "some\nwords\n")
    #expect(mingleError { try openTokenizer(at: text) }?.what.contains("[UNK]") == true)
    let json = try folder.write("tokenizer.json", "{\"model\": {\n\"[UNK]\": 0}}\n")
    #expect(mingleError { try openTokenizer(at: json) }?.what.contains("JSON") == true)
    let latin = try folder.write("b.txt", [0x5B, 0xE9, 0x0A, 0xFF])
    #expect(mingleError { try openTokenizer(at: latin) }?.kind == .badData)
    let wide = try folder.write("c.txt", "[UNK]\na\n".utf16.flatMap { [UInt8($0), 0] })
    #expect(mingleError { try openTokenizer(at: wide) }?.kind == .badData)
  }

  @Test func oddVocabulariesAreReadAsThePackageReadsThem() throws {
    // Of equal pieces the last one counts; white space at a line's end is no part of a piece.
    let path = try folder.write("vocab.txt", "[UNK]\na \nb\r\na\n\n##c\u{3000}")
    let tokenizer = try openTokenizer(at: path)
    #expect(tokenizer.vocabularySize == 6)
    #expect(tokenizer.encode("a b ac x") == [3, 2, 3, 5, 0])
    #expect(tokenizer.special.padding == nil)
  }

  @Test func configurationTellsTheCase() throws {
    let path = try folder.write("vocab.txt", "[UNK]\na\nA\n")
    #expect(try openTokenizer(at: path).encode("A") == [2])
    try folder.write("tokenizer_config.json", #"{"do_lower_case": true, "other": [1]}"#)
    #expect(try openTokenizer(at: path).encode("A") == [1])
    let lower = try folder.write("lower/vocab.txt", "[UNK]\na\n")
    #expect(try openTokenizer(at: lower).encode("Á") == [1])
  }

  @Test func truncatedModels() throws {
    let bytes = try golden("unigram.model")
    for count in [1, 2, 3, 10, 100, 1000, bytes.count / 2, bytes.count - 1] {
      let path = try folder.write("cut.model", Array(bytes.prefix(count)))
      // Cut between two fields, a message is whole; then there is no <unk>, or a rule is missing.
      if let tokenizer = try? openTokenizer(at: path) {
        #expect(!tokenizer.encode("some text").isEmpty)
      } else {
        #expect(mingleError { try openTokenizer(at: path) }?.kind == .badData)
      }
    }
  }

  @Test func damagedModelsNeverCrash() throws {
    let bytes = try golden("unigram.model")
    var state: UInt64 = 1
    for round in 0..<200 {
      var damaged = bytes
      for _ in 0...(round % 8) {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let place = Int(state >> 33) % damaged.count
        damaged[place] = UInt8(truncatingIfNeeded: state >> 20)
      }
      let path = try folder.write("damaged.model", damaged)
      guard let tokenizer = try? openTokenizer(at: path) else { continue }
      let ids = tokenizer.encode("some text, Ａ é e\u{0301} \u{0} <mask> 汉字")
      _ = tokenizer.decode(ids)
    }
  }

  @Test(arguments: [
    ("two equal pieces", [piece("<unk>", kind: 2), piece("a"), piece("a")]),
    ("no unknown piece", [piece("a")]),
    ("two unknown pieces", [piece("<unk>", kind: 2), piece("<u>", kind: 2)]),
    ("an empty piece", [piece("<unk>", kind: 2), piece("")]),
    ("a NUL", [piece("<unk>", kind: 2), piece("a\u{0}b")]),
    ("a byte without bytes", [piece("<unk>", kind: 2), piece("<0x41>", kind: 6)]),
    ("a score that is no number", [piece("<unk>", kind: 2), piece("a", score: .nan)]),
    ("a long piece", [piece("<unk>", kind: 2), piece(String(repeating: "a", count: 8000))]),
    ("another kind", [piece("<unk>", kind: 2), piece("a"), [0x12, 2, 0x18, 2]]),
    ("a broken map", [piece("<unk>", kind: 2), piece("a"), [0x1A, 4, 0x12, 2, 1, 2]]),
  ]) func impossibleModels(name: String, parts: [[UInt8]]) throws {
    let path = try folder.write("bad.model", parts.flatMap { $0 })
    let error = mingleError { try openTokenizer(at: path) }
    #expect(error?.kind == .badData, "\(name)")
    #expect(error?.place == path)
  }

  @Test func smallModelsWork() throws {
    let parts = [piece("<unk>", kind: 2), piece("\u{2581}a", score: -1), piece("b", score: -2)]
    let tokenizer = try openTokenizer(at: folder.write("small.model", parts.flatMap { $0 }))
    #expect(tokenizer.encode("ab  a") == [1, 2, 1])
    #expect(tokenizer.encode("axxb") == [1, 0, 2])
    #expect(tokenizer.decode([1, 0, 2]) == "a \u{2047} b")
    #expect(tokenizer.special == SpecialTokens(unknown: 0))
  }
}

/// A `ModelProto.pieces` field.
private func piece(_ text: String, score: Float = -1, kind: UInt8 = 1) -> [UInt8] {
  var bytes: [UInt8] = [0x0A] + varint(text.utf8.count) + text.utf8
  bytes.append(0x15)
  withUnsafeBytes(of: score.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
  bytes += [0x18, kind]
  return [0x0A] + varint(bytes.count) + bytes
}

private func varint(_ value: Int) -> [UInt8] {
  value < 128 ? [UInt8(value)] : [UInt8(value & 127 | 128)] + varint(value >> 7)
}
