import ArgumentParser
import Foundation
import Mingle

/// `mingle tokenizer train|encode|decode`
struct TokenizerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenizer",
    abstract: "Make a vocabulary from text; turn text into tokens and back.",
    discussion: """
      Two kinds: SentencePiece's unigram models (.model) and BERT's WordPiece (vocab.txt). Files made \
      elsewhere are read as they are and give the same tokens as there.

      Example: mingle tokenizer train --vocabulary 16000 --data text.txt --output text.model
      """,
    subcommands: [TokenizerTrainCommand.self, EncodeCommand.self, DecodeCommand.self])
}

/// `mingle tokenizer train --data FILE... --output FILE`
struct TokenizerTrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Make a vocabulary from text files.",
    discussion: """
      The data are UTF-8 text files, one text a line, .jsonl files with a "text" in each row, or folders \
      of such (.txt, .md, .jsonl). The same text gives the same vocabulary. Special tokens: <pad>, <unk>, \
      <cls>, <sep>, <mask> (unigram), [PAD], [UNK], [CLS], [SEP], [MASK] (wordpiece), ids 0 to 4.

      Example: mingle tokenizer train --kind wordpiece --lowercase --vocabulary 30000 \
      --data news.txt books.txt --output vocab.txt
      """)

  @Option(help: "unigram (a SentencePiece model) or wordpiece (a vocab.txt).")
  var kind = "unigram"

  @Option(help: ArgumentHelp("Number of tokens, special ones included.", valueName: "count"))
  var vocabulary = 32000

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Text files or folders to learn from.", valueName: "path"))
  var data: [String]

  @Option(help: ArgumentHelp("The file to write.", valueName: "file"))
  var output: String

  @Flag(help: "Lower-case the text and take accents away (wordpiece).")
  var lowercase = false

  @Flag(help: "Replace the output if it is there.")
  var force = false

  func run() throws {
    guard let kind = TokenizerTraining.Kind(rawValue: kind) else {
      throw MingleError(
        .usage, "no such kind of vocabulary", in: "--kind", expected: "unigram or wordpiece",
        got: kind)
    }
    guard vocabulary > 0, vocabulary <= 10_000_000 else {
      throw MingleError(
        .usage, "no size of a vocabulary", in: "--vocabulary",
        expected: "1 to 10000000", got: "\(vocabulary)")
    }
    guard kind == .wordpiece || !lowercase else {
      throw MingleError(
        .usage, "a unigram model keeps case", in: "--lowercase", next: "pass --kind wordpiece")
    }
    var isFolder: ObjCBool = false
    let isThere = FileManager.default.fileExists(atPath: output, isDirectory: &isFolder)
    guard force || !isThere || isFolder.boolValue else {
      throw MingleError(
        .usage, "the file is already there", in: output, next: "pass --force to replace it")
    }
    var training = TokenizerTraining(kind, vocabularySize: vocabulary)
    training.lowercases = lowercase
    Interruption.watch()
    let progress = ProgressLine()
    var remarks: [String] = []
    let size = try trainTokenizer(training, files: data, output: output) { event in
      remarks += event.remarks
      progress.show(event.text)
      return !Interruption.isWanted
    }
    progress.clear()
    for remark in remarks { Console.note(remark) }
    let missing = size < vocabulary ? "; no more pairs of pieces occur twice in the text" : ""
    Console.note("\(output): \(grouped(size)) tokens\(missing)")
  }
}

extension TokenizerTrainingEvent {
  fileprivate var text: String {
    switch self {
    case .read(let bytes, let total): "read \(bytes / 1_000_000) of \(total / 1_000_000) MB"
    case .finishedReading(let report): "read \(report.files) files"
    case .counted(let words, _): "\(grouped(words)) different words"
    case .pieces(let count): "\(grouped(count)) pieces"
    }
  }

  /// What a user should know when the work is done.
  fileprivate var remarks: [String] {
    switch self {
    case .finishedReading(let report): report.remarks
    case .counted(_, let tooLong) where tooLong > 0: ["\(tooLong) words too long to learn from"]
    default: []
    }
  }
}

/// `mingle tokenizer encode TOKENIZER [TEXT...]`
struct EncodeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "encode",
    abstract: "Show the tokens of texts.",
    discussion: """
      One line for each text: its pieces, or with --ids their numbers. Without texts the lines of standard \
      input are read, of any number. Special tokens before and after a text are not added. A text that \
      begins with a dash goes after --.

      Example: mingle tokenizer encode text.model "Hello world"
      """)

  @Argument(help: "A SentencePiece .model or a vocab.txt.")
  var tokenizer: String

  @Argument(help: "Texts; without any, the lines of standard input.")
  var texts: [String] = []

  @Flag(help: "Print the tokens' numbers, not their pieces.")
  var ids = false

  @OptionGroup var json: JSONOption

  func run() throws {
    let tokenizer = try openTokenizer(at: tokenizer)
    try forEachLine(texts, as: EncodedText.self, json: json.isOn) { text, _ in
      let tokens = tokenizer.tokens(in: text)
      guard json.isOn else {
        return .text(
          tokens.map { ids ? "\($0.id)" : tokenizer.text(of: $0.id) }.joined(separator: " "))
      }
      return .document(
        EncodedText(
          text: text, ids: tokens.map(\.id), pieces: tokens.map { tokenizer.text(of: $0.id) },
          ranges: tokens.map { [$0.range.lowerBound, $0.range.upperBound] }))
    }
  }
}

/// `mingle tokenizer decode TOKENIZER [ID...]`
struct DecodeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "decode",
    abstract: "Show the text that tokens spell.",
    discussion: """
      Without numbers each line of standard input is one text's.

      Example: mingle tokenizer decode text.model 5438 312
      """)

  @Argument(help: "A SentencePiece .model or a vocab.txt.")
  var tokenizer: String

  @Argument(help: "Numbers of tokens; without any, the lines of standard input.")
  var ids: [String] = []

  @OptionGroup var json: JSONOption

  func run() throws {
    let tokenizer = try openTokenizer(at: tokenizer)
    let lines = ids.isEmpty ? [] : [ids.joined(separator: " ")]
    try forEachLine(lines, as: DecodedText.self, json: json.isOn) { line, place in
      let ids = try line.split { $0 == " " || $0 == "," || $0 == "\t" }.map {
        try number($0, of: tokenizer, in: place)
      }
      let text = tokenizer.decode(ids)
      return json.isOn ? .document(DecodedText(ids: ids, text: text)) : .text(text)
    }
  }

  private func number(
    _ word: Substring, of tokenizer: any Tokenizer, in place: String?
  ) throws -> Int32 {
    guard let id = Int32(word), id >= 0, id < tokenizer.vocabularySize else {
      throw MingleError(
        .badData, "not a token's number", in: place,
        expected: "0 to \(tokenizer.vocabularySize - 1)",
        got: String(word.prefix(40)))
    }
    return id
  }
}

/// A text and its tokens; ranges are offsets in its UTF-8 bytes.
private struct EncodedText: Encodable {
  let text: String
  let ids: [Int32]
  let pieces: [String]
  let ranges: [[Int]]
}

private struct DecodedText: Encodable {
  let ids: [Int32]
  let text: String
}

private enum LineResult<Document: Encodable> {
  case text(String)
  case document(Document)
}

/// Prints what `body` makes of each text, or of each line of standard input (then it is told which one)
/// when there are none. With `json`, all of it is one list; it is written piece by piece.
private func forEachLine<Document: Encodable>(
  _ texts: [String], as type: Document.Type, json: Bool,
  _ body: (String, _ place: String?) throws -> LineResult<Document>
) throws {
  var output = OutputBuffer()
  var isFirst = true
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  func print(_ text: String, in place: String? = nil) throws {
    switch try body(text, place) {
    case .text(let line): try output.add(line)
    case .document(let document):
      let line = String(decoding: try encoder.encode(document), as: UTF8.self)
      try output.add((isFirst ? "[\n" : ",\n") + line, terminator: "")
    }
    isFirst = false
  }
  if texts.isEmpty {
    var input = StandardInput()
    do {
      while let line = try input.readLine() {
        try print(line, in: "standard input, line \(input.lines)")
      }
    } catch let error as MingleError {
      // What was found before the bad line is not lost.
      try output.flush()
      throw error
    }
    if input.invalidLines > 0 {
      let lines = input.invalidLines == 1 ? "line" : "lines"
      Console.note("\(grouped(input.invalidLines)) \(lines) with invalid UTF-8, replaced")
    }
  } else {
    for text in texts { try print(text) }
  }
  if json { try output.add(isFirst ? "[]" : "\n]") }
  try output.flush()
}

/// Lines for standard output, written a quarter of a megabyte at a time.
private struct OutputBuffer {
  private var text = ""

  mutating func add(_ line: String, terminator: String = "\n") throws {
    text += line
    text += terminator
    if text.utf8.count > 1 << 18 { try flush() }
  }

  mutating func flush() throws {
    guard !text.isEmpty else { return }
    try Console.write(text)
    text = ""
  }
}
