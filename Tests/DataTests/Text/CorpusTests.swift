import Data
import Foundation
import Testing
import Torch

/// Some paragraphs of words that differ from line to line.
func paragraphs(_ count: Int, seed: Int = 0) -> String {
  var text = ""
  for line in 0..<count {
    for word in 0..<12 { text += "w\((line * 31 + word * 7 + seed) % 501) " }
    text += line % 5 == 4 ? "\n\n" : "\n"
  }
  return text
}

@Suite struct CorpusTests {
  private let folder: TemporaryFolder
  private let tokenizer = TinyTokenizer()

  init() throws { folder = try TemporaryFolder() }

  private var cache: String { folder.path + "/cache" }

  private func tokens(
    _ paths: [String], _ options: CorpusOptions = CorpusOptions(), workers: Int = 2
  ) throws -> TokenCorpus {
    try TokenCorpus(
      TextCorpus(paths, options: options), tokenizer: tokenizer, cache: cache, workers: workers)
  }

  private func options(_ change: (inout CorpusOptions) -> Void) -> CorpusOptions {
    var options = CorpusOptions()
    change(&options)
    return options
  }

  /// The content tokens of all sequences of length `S`, without `<cls>` and the last `<sep>`.
  private func stream(_ corpus: TokenCorpus, length: Int = 9) throws -> [Int32] {
    let sequences = try PackedSequences(corpus, length: length, keepsLast: true)
    return (0..<sequences.count).flatMap { index in
      let (tokens, _, contentCount) = sequences.sequence(at: index)
      return Array(tokens[1..<contentCount - 1])
    }
  }

  @Test func hashesAreXXH64() {
    func hash(_ text: String, _ seed: UInt64 = 0) -> UInt64 {
      Array(text.utf8).withUnsafeBytes { ContentHash.hash($0, seed: seed) }
    }
    #expect(hash("") == 0xEF46_DB37_51D8_E999)
    #expect(hash("a") == 0xD24E_C4F1_A98C_6E5B)
    #expect(hash("abc") == 0x44BC_2CF5_AD77_0999)
    #expect(hash("Nobody inspects the spammish repetition") == 0xFBCE_A83C_8A37_8BF1)
  }

  @Test func linesAndDocumentsAreTokens() throws {
    let file = try folder.write("a.txt", "\u{FEFF}ab cd\r\n\r\n  \nefgh\r\n")
    let ids = ["ab", "cd", "efg", "h"].map(tokenizer.id)
    let whole = try tokens([file])
    #expect(whole.tokenCount == 4 && whole.documentCount == 1)
    #expect(try stream(whole) == ids)
    for end in [CorpusOptions.DocumentEnd.emptyLine, .line] {
      let corpus = try tokens([file], options { $0.documentEnd = end })
      #expect(corpus.documentCount == 2)
      #expect(try stream(corpus) == [ids[0], ids[1], 3, ids[2], ids[3]])
    }
  }

  @Test func rowsAreDocuments() throws {
    let file = try folder.write(
      "a.jsonl",
      "{\"text\": \"ab\\ncd\", \"n\": [1, {}]}\r\n\n{\"text\":\"\"}\n{\"text\": \"\\u00e9\"}")
    let corpus = try tokens([file])
    #expect(corpus.documentCount == 2)
    #expect(try stream(corpus) == [tokenizer.id("ab"), tokenizer.id("cd"), 3, tokenizer.id("é")])
    #expect(corpus.report.emptyRows.map(\.count) == [1])
    let other = options { $0.textField = "body" }
    let error = mingleError { try tokens([file], other) }
    #expect(error?.place == file + ", line 1")
    #expect(error?.got == "fields 'n', 'text'" || error?.got == "fields n, text")
  }

  @Test func foldersAreReadInOrder() throws {
    try folder.write("set/b/2.txt", "two")
    try folder.write("set/a.md", "one")
    try folder.write("set/c.jsonl", "{\"text\": \"three\"}")
    try folder.write("set/empty.txt", "")
    try folder.write("set/picture.png", "no text")
    let corpus = try tokens([folder.path + "/set"])
    #expect(
      try stream(corpus)
        == ["one", "3", "two", "3", "thr", "ee"].map { Int32($0) ?? tokenizer.id($0) })
    #expect(corpus.report.emptyFiles == ["empty.txt"])
    #expect(corpus.report.ignoredFiles == ["picture.png"])
    #expect(corpus.report.files == 4 && corpus.report.tokens == 4)
    #expect(corpus.report.remarks.count == 2)
  }

  @Test func invalidTextIsCountedOrRefused() throws {
    let file = try folder.write("a.txt", Array("good\nb".utf8) + [0xFF] + Array("d\nx\n".utf8))
    let corpus = try tokens([file])
    #expect(corpus.report.invalidLines.map(\.count) == [1])
    #expect(try stream(corpus).contains(tokenizer.id("b\u{FFFD}d")))
    let error = mingleError { try tokens([file], options { $0.invalidText = .refuse }) }
    #expect(error?.description.contains("a.txt, line 2: invalid UTF-8") == true)
    let wide = try folder.write("wide.txt", [0xFF, 0xFE, 0x61, 0])
    #expect(mingleError { try tokens([wide]) }?.what == "text in UTF-16")
  }

  @Test func nothingIsAnError() throws {
    let empty = try folder.write("empty.txt", " \n \n")
    #expect(mingleError { try tokens([empty]) }?.what == "no text")
    #expect(mingleError { try tokens([folder.path + "/none"]) }?.kind == .missingInput)
    try folder.write("pictures/a.png", "x")
    #expect(mingleError { try tokens([folder.path + "/pictures"]) }?.what == "no text files")
    let row = try folder.write("bad.jsonl", "{\"text\": \"a\"}\n{\"text\": \n")
    let error = mingleError { try tokens([row]) }
    #expect(error?.description.contains("bad.jsonl, line 2: not JSON: an early end") == true)
  }

  /// Lines beyond the size of a piece, with and without spaces.
  @Test func giganticLinesAreCut() throws {
    let words = String(repeating: "abc de ", count: 500_000)  // 3.5 MB
    let file = try folder.write("a.txt", "x\n" + words + "\n" + "y\n")
    let corpus = try tokens([file], options { $0.documentEnd = .line })
    #expect(corpus.report.cutLines.map(\.count) == [1])
    #expect(corpus.documentCount == 3)
    #expect(corpus.tokenCount == 1_000_002)
    let solid = try folder.write("b.txt", String(repeating: "é", count: 2_000_000))
    let other = try tokens([solid])
    #expect(other.report.invalidLines.isEmpty && other.report.cutLines.map(\.count) == [1])
    #expect((666_667...666_669).contains(other.tokenCount))
  }

  @Test func tokensDoNotDependOnThreads() throws {
    let file = try folder.write("a.txt", paragraphs(30_000))
    var contents: [Foundation.Data] = []
    for workers in [1, 3] {
      let place = cache + "\(workers)"
      let corpus = try TokenCorpus(
        TextCorpus(file), tokenizer: tokenizer, cache: place, workers: workers)
      contents.append(try Foundation.Data(contentsOf: URL(filePath: corpus.path)))
    }
    #expect(contents[0] == contents[1] && contents[0].count > 1 << 19)
  }

  @Test func tokensAreMadeOnce() throws {
    let file = try folder.write("a.txt", paragraphs(20))
    let first = try tokens([file])
    let calls = tokenizer.calls.value
    #expect(!first.wasReused && calls > 0)
    // The contents decide, not their name.
    let copy = try folder.write("b.txt", paragraphs(20))
    let second = try tokens([copy])
    #expect(second.wasReused && second.path == first.path && second.report == first.report)
    #expect(tokenizer.calls.value == calls)
    var others = try [
      tokens([file], options { $0.documentEnd = .line }),
      tokens([try folder.write("c.txt", paragraphs(21))]), tokens([file, copy]),
    ]
    var renamed = tokenizer
    renamed.name = "another"
    others.append(try TokenCorpus(TextCorpus(file), tokenizer: renamed, cache: cache))
    #expect(Set(others.map(\.path) + [first.path]).count == 5)
    #expect(others.allSatisfy { !$0.wasReused })
  }

  @Test func damagedTokensAreMadeAnew() throws {
    let file = try folder.write("a.txt", paragraphs(50))
    let path = try tokens([file]).path
    let whole = try Foundation.Data(contentsOf: URL(filePath: path))
    var damaged: [Foundation.Data] = [
      Foundation.Data(), whole.prefix(10), whole.prefix(whole.count - 1), whole.dropFirst(),
      Foundation.Data(repeating: 0, count: whole.count), whole + [0],
    ]
    for place in [3, 40, whole.count / 2, whole.count - 50, whole.count - 20, whole.count - 1] {
      var bytes = whole
      bytes[place] ^= 0x20
      damaged.append(bytes)
    }
    for bytes in damaged {
      // A new file: the old one may be mapped.
      try FileManager.default.removeItem(atPath: path)
      try bytes.write(to: URL(filePath: path))
      let corpus = try tokens([file])
      #expect(!corpus.wasReused)
      #expect(try Foundation.Data(contentsOf: URL(filePath: path)) == whole)
    }
    #expect(try tokens([file]).wasReused)
  }

  /// Another corpus' tokens under this one's name.
  @Test func foreignTokensAreMadeAnew() throws {
    let one = try tokens([try folder.write("a.txt", paragraphs(30))])
    let other = try tokens([try folder.write("b.txt", paragraphs(30, seed: 1))])
    let manager = FileManager.default
    try manager.removeItem(atPath: one.path)
    try manager.copyItem(atPath: other.path, toPath: one.path)
    let again = try tokens([folder.path + "/a.txt"])
    #expect(!again.wasReused && again.path == one.path)
    #expect(try stream(again) != stream(other))
  }

  @Test func stoppingLeavesNothing() throws {
    let file = try folder.write("a.txt", paragraphs(50))
    struct Stop: Error {}
    #expect(throws: Stop.self) {
      try TokenCorpus(TextCorpus(file), tokenizer: tokenizer, cache: cache) { _, _ in throw Stop() }
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: cache).isEmpty)
  }

  @Test func oldLeftoversAreRemoved() throws {
    let old = try folder.write("cache/.00ff.tokens.abc.tmp", "x")
    let new = try folder.write("cache/.00ff.tokens.abd.tmp", "x")
    let manager = FileManager.default
    try manager.setAttributes(
      [.modificationDate: Date(timeIntervalSinceNow: -100_000)], ofItemAtPath: old)
    _ = try tokens([try folder.write("a.txt", "one two")])
    #expect(!manager.fileExists(atPath: old) && manager.fileExists(atPath: new))
  }

  @Test func largeVocabulariesTakeFourBytes() throws {
    var large = TinyTokenizer()
    large.vocabularySize = 100_000
    let file = try folder.write("a.txt", paragraphs(20))
    let corpus = try TokenCorpus(TextCorpus(file), tokenizer: large, cache: cache)
    let lines = paragraphs(20).split(separator: "\n").map(String.init)
    #expect(try stream(corpus, length: 17) == lines.flatMap { large.encode($0) })
  }

  @Test func sequencesAreTheStreamInPieces() throws {
    let file = try folder.write("a.txt", paragraphs(23))
    let corpus = try tokens([file], options { $0.documentEnd = .emptyLine })
    #expect(corpus.documentCount == 5)
    var expected: [Int32] = []
    for document in paragraphs(23).components(separatedBy: "\n\n") where !document.isEmpty {
      if !expected.isEmpty { expected.append(3) }
      expected += document.split(separator: "\n").flatMap { tokenizer.encode(String($0)) }
    }
    for length in [3, 4, 10, 64, 5000] {
      #expect(try stream(corpus, length: length) == expected)
    }
    let sequences = try PackedSequences(corpus, length: 32)
    #expect(sequences.count == expected.count / 30)
    for index in 0..<sequences.count {
      let (tokens, startsWord, contentCount) = sequences.sequence(at: index)
      #expect(tokens.count == 32 && startsWord.count == 32 && contentCount == 32)
      #expect(tokens.first == 2 && tokens.last == 3)
    }
    let (train, held) = try sequences.split(holdingOut: 0.25)
    #expect(train.count + held.count == sequences.count)
    #expect(held.sequence(at: 0).tokens == sequences.sequence(at: train.count).tokens)
  }

  @Test func impossibleSequencesAreRefused() throws {
    let corpus = try tokens([try folder.write("a.txt", "one two three")])
    #expect(mingleError { try PackedSequences(corpus, length: 2) }?.kind == .usage)
    let error = mingleError { try PackedSequences(corpus, length: 128) }
    #expect(error?.what == "less text than a sequence" && error?.got == "4")
    #expect(mingleError { try PackedSequences(corpus, length: 6).split(holdingOut: 0.1) } != nil)
  }
}
