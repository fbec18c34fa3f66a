import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct TokenizerToolTests {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    let vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nworld\n##s\n"
    try folder.write(Array(vocabulary.utf8), to: "vocab.txt")
  }

  @Test func encodesAndDecodes() throws {
    let pieces = try Tool.run([
      "tokenizer", "encode", folder("vocab.txt"), "Hello worlds", "[MASK] x",
    ])
    #expect(pieces.status == 0)
    #expect(pieces.output == "hello world ##s\n[MASK] [UNK]\n")
    let ids = try Tool.run(["tokenizer", "encode", folder("vocab.txt"), "--ids", "hello"])
    #expect(ids.output == "5\n")
    let json = try Tool.run(["tokenizer", "encode", folder("vocab.txt"), "--json", "hello"])
    #expect(json.output.contains(#""ids":[5]"#))
    #expect(json.output.contains(#""ranges":[[0,5]]"#))
    let text = try Tool.run(["tokenizer", "decode", folder("vocab.txt"), "5", "6", "7"])
    #expect(text.output == "hello worlds\n")
    // Nothing on standard input: no lines, or an empty list.
    #expect(try Tool.run(["tokenizer", "encode", folder("vocab.txt")]).output.isEmpty)
    #expect(try Tool.run(["tokenizer", "decode", folder("vocab.txt"), "--json"]).output == "[]\n")
  }

  @Test func makesAVocabulary() throws {
    let text = String(repeating: "low lower lowest new newer newest wide\n", count: 30)
    try folder.write(Array(text.utf8), to: "text.txt")
    let arguments = [
      "tokenizer", "train", "--kind", "wordpiece", "--vocabulary", "38", "--data",
      folder("text.txt"), "--output", folder("made.txt"),
    ]
    let made = try Tool.run(arguments)
    #expect(made.status == 0)
    #expect(made.output.isEmpty)
    #expect(made.errors.contains("38 tokens"))
    #expect(try Tool.run(arguments).status == 64)  // already there
    #expect(try Tool.run(arguments + ["--force"]).status == 0)
  }

  @Test func readsLines() throws {
    let lines: [UInt8] = Array("hello\r\n\nworld ".utf8) + [0xFF] + Array("\nhellos".utf8)
    let pieces = try Tool.run(["tokenizer", "encode", folder("vocab.txt")], input: lines)
    #expect(pieces.output == "hello\n\nworld\nhello ##s\n")
    #expect(pieces.errors == "1 line with invalid UTF-8, replaced\n")
    let long = String(repeating: "world ", count: 50_000)
    let ids = try Tool.run(
      ["tokenizer", "encode", folder("vocab.txt"), "--ids"], input: Array("\(long)\n\(long)".utf8))
    #expect(ids.output.utf8.count == 2 * 2 * 50_000)
  }

  @Test func wrongInput() throws {
    let missing = try Tool.run(["tokenizer", "encode", folder("none"), "a"])
    #expect(missing.status == 66)
    #expect(missing.errorLines.count == 1)
    let number = try Tool.run(["tokenizer", "decode", folder("vocab.txt"), "99"])
    #expect(number.status == 65)
    #expect(number.errors.contains("0 to 7"))
    let line = try Tool.run(
      ["tokenizer", "decode", folder("vocab.txt")], input: Array("1 2\n3 x\n".utf8))
    #expect(line.status == 65)
    #expect(line.errors.contains("standard input, line 2"))
    #expect(line.output.count { $0 == "\n" } == 1)
    let kind = try Tool.run([
      "tokenizer", "train", "--kind", "bpe", "--data", folder("vocab.txt"), "--output",
      folder("x"),
    ])
    #expect(kind.status == 64)
    let output = try Tool.run([
      "tokenizer", "train", "--data", folder("vocab.txt"), "--output", folder("no/file"),
    ])
    #expect(output.status == 64)
    #expect(output.errorLines.count == 1)
    #expect(try folder.names() == ["vocab.txt"])
  }
}
