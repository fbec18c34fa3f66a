import Data
import Foundation
import Testing
import Torch

/// A data set of GLUE: its header or, without, its first row; what is read of it.
struct OfficialFile: Sendable, CustomTestStringConvertible {
  let name: String
  var header: [String]?
  let rows: [[String]]
  let texts: [String]
  var pairs: [String]?
  let target: TextTarget?
  var testDescription: String { name }
}

let officialFiles: [OfficialFile] = [
  OfficialFile(
    name: "CoLA",
    rows: [["gj04", "1", "", "Our friends won't."], ["gj04", "0", "*", "They drank."]],
    texts: ["Our friends won't.", "They drank."], target: .classes(["0", "1"])),
  OfficialFile(
    name: "CoLA test", header: ["index", "sentence"],
    rows: [["0", "Bill whistled."], ["1", "1994"]],
    texts: ["Bill whistled.", "1994"], target: nil),
  OfficialFile(
    name: "SST-2", header: ["sentence", "label"],
    rows: [["hide new \"secretions\"", "0"], ["that loves its characters", "1"]],
    texts: ["hide new \"secretions\"", "that loves its characters"], target: .classes(["0", "1"])),
  OfficialFile(
    name: "MRPC", header: ["\u{FEFF}Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"],
    rows: [["1", "702876", "702977", "Amrozi \"said", "Referring"], ["0", "21", "22", "a", "b"]],
    texts: ["Amrozi \"said", "a"], pairs: ["Referring", "b"], target: .classes(["0", "1"])),
  OfficialFile(
    name: "QQP", header: ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"],
    rows: [["1", "2", "3", "How is it?", "How?", "0"], ["4", "5", "6", "Why?", "Why so?", "1"]],
    texts: ["How is it?", "Why?"], pairs: ["How?", "Why so?"], target: .classes(["0", "1"])),
  OfficialFile(
    name: "STS-B",
    header: [
      "index", "genre", "filename", "year", "old_index", "source1", "source2", "sentence1",
      "sentence2", "score",
    ],
    rows: [
      ["0", "main", "MSRvid", "2012", "1", "none", "none", "A plane.", "An air plane.", "5.000"],
      ["1", "main", "MSRvid", "2012", "4", "none", "none", "A man.", "A flute.", "3.800"],
    ],
    texts: ["A plane.", "A man."], pairs: ["An air plane.", "A flute."], target: .value),
  OfficialFile(
    name: "QNLI", header: ["index", "question", "sentence", "label"],
    rows: [["0", "When?", "In 1932.", "not_entailment"], ["1", "Who?", "He.", "entailment"]],
    texts: ["When?", "Who?"], pairs: ["In 1932.", "He."],
    target: .classes(["entailment", "not_entailment"])),
  OfficialFile(
    name: "RTE", header: ["index", "sentence1", "sentence2", "label"],
    rows: [["0", "No weapons.", "Weapons.", "not_entailment"], ["1", "A", "B", "entailment"]],
    texts: ["No weapons.", "A"], pairs: ["Weapons.", "B"],
    target: .classes(["entailment", "not_entailment"])),
  OfficialFile(
    name: "MNLI dev",
    header: [
      "index", "promptID", "pairID", "genre", "sentence1_binary_parse", "sentence2_binary_parse",
      "sentence1_parse", "sentence2_parse", "sentence1", "sentence2", "label1", "label2", "label3",
      "label4", "label5", "gold_label",
    ],
    rows: [
      ["0", "6", "6e", "slate", "( x )", "( y )", "(R x)", "(R y)", "The rights", "Nobody"]
        + ["neutral", "contradiction", "contradiction", "neutral", "neutral", "contradiction"],
      ["1", "7", "7e", "slate", "( x )", "( y )", "(R x)", "(R y)", "Yes", "No"]
        + ["neutral", "neutral", "neutral", "neutral", "neutral", "neutral"],
    ],
    texts: ["The rights", "Yes"], pairs: ["Nobody", "No"],
    target: .classes(["contradiction", "neutral"])),
  OfficialFile(
    name: "AG News", header: ["Class Index", "Title", "Description"],
    rows: [["3", "Wall St.", "Bears, claw"], ["1", "Iraq", "Talks"]],
    texts: ["Wall St.", "Iraq"], pairs: ["Bears, claw", "Talks"], target: .classes(["1", "3"])),
  OfficialFile(
    name: "AG News without header",
    rows: [["3", "Wall St.", "Bears, claw"], ["1", "Iraq", "Talks"], ["1", "Iran", "More"]],
    texts: ["Wall St.", "Iraq", "Iran"], pairs: ["Bears, claw", "Talks", "More"],
    target: .classes(["1", "3"])),
  OfficialFile(
    name: "tweets", header: ["tweet_id", "tweet_text", "emotion_class"],
    rows: [["1", "so glad", "joy"], ["2", "oh no", "fear"], ["3", "hm", "joy"]],
    texts: ["so glad", "oh no", "hm"], target: .classes(["fear", "joy"])),
]

@Suite struct TableTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func examples(
    _ name: String, _ text: String, _ columns: TextColumns = TextColumns(),
    target: TextTarget? = nil, needsLabels: Bool = true
  ) throws -> TextExamples {
    try TextExamples(
      folder.write(name, text), columns: columns, target: target, needsLabels: needsLabels)
  }

  @Test(arguments: officialFiles, ["\n", "\r\n"])
  func officialFilesAreRead(_ file: OfficialFile, _ lineEnd: String) throws {
    let rows = (file.header.map { [$0] } ?? []) + file.rows
    let text = rows.map { $0.joined(separator: "\t") }.joined(separator: lineEnd)
    for end in ["", lineEnd] {
      let found = try examples("a.tsv", text + end, needsLabels: file.target != nil)
      #expect(found.texts == file.texts && found.pairs == file.pairs)
      #expect(found.target == file.target)
    }
  }

  @Test func quotedFieldsHoldAnything() throws {
    let text =
      "label,text\r\nbad,\"one, \"\"two\"\"\nthree\"\r\ngood,5\" wide\r\ngood,\r\nbad, a \n"
    let found = try examples("a.csv", text)
    #expect(found.texts == ["one, \"two\"\nthree", "5\" wide", "", "a"])
    #expect(found.labels == .classes([0, 1, 1, 0]))
    #expect(found.lines == [2, 4, 5, 6])
    #expect(found.report.emptyTexts == 1)
    let error = mingleError { try examples("b.csv", "text,label\na,0\n\"b,1\nc,0\n") }
    #expect(error?.description.contains("b.csv, line 3: quotation marks") == true)
  }

  /// Names that no data set of ours uses.
  @Test func unknownNamesAreAHeader() throws {
    let rows = (0..<40).map { "\($0 % 3 == 0 ? "spam" : "ham");Free entry in \($0) weekly draws" }
    let found = try examples("a.csv", "v1;v2\n" + rows.joined(separator: "\n"))
    #expect(found.count == 40 && found.target == .classes(["ham", "spam"]))
    #expect(found.report.columns == TextColumns(text: "v2", label: "v1"))
    // A first row of data is none.
    let data = try examples("b.csv", "ham;Ok\n" + rows.joined(separator: "\n"))
    #expect(data.count == 41 && data.texts[0] == "Ok")
  }

  @Test func rowsOfJSONAreRead() throws {
    let found = try examples(
      "a.jsonl",
      """
      {"premise": "a\\n\\u00e9", "hypothesis": "b", "label": 1, "more": {"x": [null]}}

      {"label": 0, "hypothesis": "d", "premise": "\\ud83d\\ude00"}
      """)
    #expect(found.texts == ["a\né", "😀"] && found.pairs == ["b", "d"])
    #expect(found.labels == .classes([1, 0]))
    let list = try examples("b.json", "[{\"text\": \"a\", \"label\": true}]")
    #expect(list.target == .classes(["true"]))
    let error = mingleError { try examples("c.jsonl", "{\"text\": \"a\", \"label\": 1}\n[1]\n") }
    #expect(error?.description.contains("c.jsonl, line 2: a row that is no JSON object") == true)
  }

  @Test func columnsCanBeNamedOrNumbered() throws {
    let text = "a\tb\tc\nx\ty\t0\nz\tw\t1\n"
    let named = try examples("a.tsv", text, TextColumns(text: "B", pair: "a", label: "c"))
    #expect(named.texts == ["y", "w"] && named.pairs == ["x", "z"])
    #expect(named.report.columns == TextColumns(text: "b", pair: "a", label: "c"))
    let numbered = try examples("a.tsv", text, TextColumns(text: "1", label: "3"))
    #expect(numbered.texts == ["a", "x", "z"] && numbered.target == .classes(["0", "1", "c"]))
    let error = mingleError { try examples("a.tsv", text, TextColumns(text: "d")) }
    #expect(error?.what == "no column 'd'" && error?.expected?.contains("'a', 'b', 'c'") == true)
    #expect(mingleError { try examples("a.tsv", "x\ty\n", TextColumns(text: "3")) } != nil)
  }

  @Test func labelsAreClassesOrValues() throws {
    func target(_ labels: [String]) throws -> TextTarget? {
      try examples("a.tsv", labels.map { "words here\t\($0)\n" }.joined(), TextColumns(label: "2"))
        .target
    }
    #expect(try target(["2", "10", "1"]) == .classes(["1", "2", "10"]))
    #expect(try target(["b", "a", "b"]) == .classes(["a", "b"]))
    #expect(try target(["1", "2.5"]) == .value)
    let text = "label\ttext\n1\ta\n3\tb\n"
    let values = try examples("b.tsv", text, target: .value)
    #expect(values.labels == .values([1, 3]))
    let error = mingleError { try examples("b.tsv", text, target: .classes(["1", "2"])) }
    #expect(error?.place?.hasSuffix("b.tsv, line 3") == true)
    #expect(error?.got == "'3'" && error?.expected == "one of 2 classes (1, 2)")
    let other = mingleError { try examples("c.tsv", "label\ttext\nx\ta\n", target: .value) }
    #expect(other?.what == "a label that is no number" && other?.got == "'x'")
    #expect(
      mingleError { try examples("d.tsv", "label\ttext\n1\ta\n\tb\n") }?.description
        .contains("d.tsv, line 3: a row without label") == true)
  }

  @Test func brokenRowsAreNamed() throws {
    let rows = (0..<200).map { "\($0)\ttext \($0)\t\($0 % 2)\n" }.joined()
    let found = try examples("a.tsv", "id\tsentence\tlabel\n" + rows + "7\tbroken\n")
    #expect(found.count == 200 && found.report.skippedRows == ["line 202: 2 columns"])
    #expect(found.report.remarks == ["1 rows left out (line 202: 2 columns)"])
    let error = mingleError { try examples("b.tsv", "id\tsentence\tlabel\n1\ta\t0\n2\tb\n") }
    #expect(error?.description.contains("b.tsv, line 3: a row with a wrong number") == true)
    let undecided = try examples("c.tsv", "sentence1\tsentence2\tgold_label\na\tb\t-\nc\td\tx\n")
    #expect(undecided.texts == ["c"] && undecided.report.undecidedRows == 1)
    let missing = mingleError {
      try examples("d.jsonl", "{\"text\": \"a\", \"label\": 0}\n{\"label\": 1}\n")
    }
    #expect(missing?.description.contains("d.jsonl, line 2: a row without text") == true)
  }

  @Test func unreadableFilesAreRefused() throws {
    func what(_ name: String, _ bytes: [UInt8]) throws -> String? {
      let path = try folder.write(name, bytes)
      return mingleError { try TextExamples(path) }?.what
    }
    #expect(try what("a.tsv", []) == "an empty file")
    #expect(try what("a.csv", Array("\n\n".utf8)) == "no rows")
    #expect(try what("a.tsv", Array("sentence\tlabel\n".utf8)) == "no samples")
    #expect(try what("a.xlsx", [1]) == "an unknown form of table")
    #expect(try what("a.tsv", [0xFE, 0xFF, 0]) == "text in UTF-16")
    #expect(try what("a.tsv", Array("1\t2\n3\t4\n".utf8)) == "the columns of text are not clear")
    #expect(try what("b.tsv", Array("id\tsentence\n1\tx\n".utf8)) == "no column of labels found")
    let deep = String(repeating: "[", count: 100_000)
    #expect(try what("a.json", Array(deep.utf8))?.contains("nested") == true)
    let text = Array("label\ttext\n0\ta".utf8) + [0xC3, 0x28] + Array("\n1\tb\n".utf8)
    let found = try TextExamples(folder.write("c.tsv", text))
    #expect(found.texts == ["a\u{FFFD}(", "b"] && found.report.invalidTexts == 1)
    let long = String(repeating: "x ", count: 2_000_000)
    #expect(
      try examples("d.tsv", "text\tlabel\n\(long)\t0\nb\t1\n").texts[0].utf8.count == 3_999_999)
  }
}
