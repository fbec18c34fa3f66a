import Data
import Foundation
import Testing
import Torch

@Suite struct TokenizerTrainingTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Words with common parts, in lines of five.
  private func corpus() throws -> String {
    let stems = ["walk", "talk", "jump", "look", "play", "work", "turn", "call"]
    let ends = ["", "ed", "ing", "er", "s", "able"]
    var state: UInt64 = 7
    var lines = ["Naïve <unk> café 汉字 \u{FFFD}"]
    for _ in 0..<400 {
      let words = (0..<5).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return stems[Int(state >> 60) % stems.count] + ends[Int(state >> 40 & 0xFFFF) % ends.count]
      }
      lines.append(words.joined(separator: " "))
    }
    return try folder.write("corpus.txt", lines.joined(separator: "\n"))
  }

  @Test(arguments: TokenizerTraining.Kind.allCases)
  func makesWhatItReads(kind: TokenizerTraining.Kind) throws {
    let corpus = try corpus()
    let output = folder.path + "/made.file"
    try trainTokenizer(
      TokenizerTraining(kind, vocabularySize: 70), files: [corpus], output: output)
    let tokenizer = try openTokenizer(at: output)
    #expect(tokenizer.vocabularySize == 70)
    #expect(tokenizer.special.ids == [0, 1, 2, 3, 4])
    #expect(tokenizer.special.padding == 0)
    #expect(tokenizer.special.unknown == 1)
    #expect(tokenizer.special.mask == 4)
    let text = "walking talked jumpers"
    #expect(tokenizer.encode(text).count < 12)
    #expect(tokenizer.decode(tokenizer.encode(text)) == text)
    // Once more: the same file.
    try trainTokenizer(
      TokenizerTraining(kind, vocabularySize: 70), files: [corpus], output: folder.path + "/again")
    #expect(FileManager.default.contentsEqual(atPath: output, andPath: folder.path + "/again"))
  }

  @Test func unigramPrefersCommonParts() throws {
    let output = folder.path + "/made.model"
    try trainTokenizer(
      TokenizerTraining(.unigram, vocabularySize: 70), files: [corpus()], output: output)
    let tokenizer = try openTokenizer(at: output)
    let pieces = tokenizer.tokens(in: "Ｗalking　walking").map { tokenizer.text(of: $0.id) }
    #expect(pieces.suffix(2) == ["\u{2581}walk", "ing"] || pieces.last == "\u{2581}walking")
    #expect(pieces.allSatisfy { !$0.contains("<unk>") || $0 == "<unk>" })
  }

  /// The character map that goes into a model is the package's.
  @Test func charactersAreMappedAsThePackageMapsThem() throws {
    let output = folder.path + "/made.model"
    try trainTokenizer(
      TokenizerTraining(.unigram, vocabularySize: 70), files: [corpus()], output: output)
    let tokenizer = try UnigramTokenizer(model: output)
    let golden = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Golden/nmt_nfkc.json")
    let pairs = try JSONDecoder().decode(
      [[String]].self, from: Foundation.Data(contentsOf: golden))
    #expect(pairs.count > 50)
    for pair in pairs {
      #expect(tokenizer.normalized(pair[0]) == pair[1], "\(pair[0].debugDescription)")
    }
  }

  @Test func textAndVocabularyMustFit() throws {
    let corpus = try corpus()
    let output = folder.path + "/none"
    for kind in TokenizerTraining.Kind.allCases {
      let small = mingleError {
        try trainTokenizer(
          TokenizerTraining(kind, vocabularySize: 8), files: [corpus], output: output)
      }
      #expect(small?.kind == .usage)
      #expect(small?.next?.contains("--vocabulary") == true)
      for text in ["", " \n\t\n"] {
        let empty = try folder.write("empty.txt", text)
        let nothing = mingleError {
          try trainTokenizer(
            TokenizerTraining(kind, vocabularySize: 5), files: [empty], output: output)
        }
        #expect(nothing?.kind == .badData)
      }
      let missing = mingleError {
        try trainTokenizer(
          TokenizerTraining(kind, vocabularySize: 100), files: ["/no/file"], output: output)
      }
      #expect(missing?.kind == .missingInput)
    }
    let large = mingleError {
      try trainTokenizer(
        TokenizerTraining(.unigram, vocabularySize: 30000), files: [corpus], output: output)
    }
    #expect(large?.kind == .usage)
    #expect(!FileManager.default.fileExists(atPath: output))
  }

  @Test(arguments: TokenizerTraining.Kind.allCases)
  func badBytesAreNoHindrance(kind: TokenizerTraining.Kind) throws {
    let corpus = Array(try Foundation.Data(contentsOf: URL(filePath: corpus())))
    let rubbish: [UInt8] = [0xFF, 0xC3, 0x28, 0x00, 0xE2, 0x82, 0x20, 0x0D, 0x0A, 0x0A]
    let long = Array(repeating: UInt8(ascii: "x"), count: 10_000)
    let path = try folder.write("bad.txt", rubbish + corpus + rubbish + long + rubbish)
    let output = folder.path + "/made"
    try trainTokenizer(TokenizerTraining(kind, vocabularySize: 70), files: [path], output: output)
    #expect(!(try openTokenizer(at: output).encode("walking")).isEmpty)
  }

  @Test func foldersAndRowsAreRead() throws {
    let corpus = try String(contentsOfFile: corpus(), encoding: .utf8)
    let lines = corpus.split(separator: "\n").map { "{\"text\": \"\($0)\"}" }
    try folder.write("text/b.jsonl", lines.joined(separator: "\r\n") + "\n\n{\"text\": \"\"}\n")
    try folder.write("text/a.txt", [0xEF, 0xBB, 0xBF] + Array("walked\n".utf8) + [0xFF, 0x0A])
    try folder.write("text/c.md", "")
    try folder.write("text/d.png", "no text")
    var reports: [CorpusReport] = []
    let size = try trainTokenizer(
      TokenizerTraining(.unigram, vocabularySize: 70), files: [folder.path + "/text"],
      output: folder.path + "/made"
    ) { event in
      if case .finishedReading(let report) = event { reports.append(report) }
      return true
    }
    #expect(size == 70)
    let report = try #require(reports.first)
    #expect(report.files == 3)
    #expect(report.remarks.count == 4)
    #expect(report.invalidLines.map(\.file) == ["a.txt"])
    #expect(report.emptyFiles == ["c.md"])
    #expect(report.ignoredFiles == ["d.png"])
    #expect(report.emptyRows.map(\.count) == [1])
    let tokenizer = try openTokenizer(at: folder.path + "/made")
    #expect(tokenizer.id(of: "{") == nil)
    #expect(tokenizer.encode("walking talked").count < 9)
  }

  @Test func textThatCannotBeRead() throws {
    let rows = try folder.write("rows.jsonl", "{\"text\": \"a\"}\n{\"body\": 1}\n")
    let wide = try folder.write("wide.txt", [0xFF, 0xFE, 0x61, 0, 0x0A, 0])
    for (path, words) in [(rows, "rows.jsonl, line 2"), (wide, "wide.txt")] {
      let error = mingleError {
        try trainTokenizer(
          TokenizerTraining(.unigram, vocabularySize: 70), files: [path],
          output: folder.path + "/none")
      }
      #expect(error?.kind == .badData)
      #expect(error?.place?.hasSuffix(words) == true)
    }
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/none"))
  }

  /// An output that cannot be written is told before the work, not after it.
  @Test func outputsThatCannotBe() throws {
    let corpus = try corpus()
    for output in [folder.path + "/no/such/file", folder.path] {
      let error = mingleError {
        try trainTokenizer(
          TokenizerTraining(.unigram, vocabularySize: 70), files: [corpus], output: output
        ) { _ in
          Issue.record("worked for \(output)")
          return true
        }
      }
      #expect(error?.kind == .usage)
    }
  }

  @Test func longWordsAreCounted() throws {
    let corpus = try String(contentsOfFile: corpus(), encoding: .utf8)
    let long = String(repeating: "x", count: 5000)
    let path = try folder.write("long.txt", corpus + "\n\(long) \(long)\n")
    for kind in TokenizerTraining.Kind.allCases {
      var found = 0
      try trainTokenizer(
        TokenizerTraining(kind, vocabularySize: 70), files: [path], output: folder.path + "/made"
      ) { event in
        if case .counted(_, let tooLong) = event { found = tooLong }
        return true
      }
      #expect(found == 2)
    }
  }

  @Test func stopsWhenAsked() throws {
    let corpus = try corpus()
    let output = folder.path + "/none"
    let error = mingleError {
      try trainTokenizer(
        TokenizerTraining(.unigram, vocabularySize: 70), files: [corpus], output: output
      ) { _ in false }
    }
    #expect(error?.kind == .interrupted)
    #expect(!FileManager.default.fileExists(atPath: output))
  }
}
