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
      The text is UTF-8, one text a line. The same text gives the same vocabulary. Special tokens: <pad>, \
      <unk>, <cls>, <sep>, <mask> (unigram), [PAD], [UNK], [CLS], [SEP], [MASK] (wordpiece), ids 0 to 4.

      Example: mingle tokenizer train --kind wordpiece --lowercase --vocabulary 30000 \
      --data news.txt books.txt --output vocab.txt
      """)

  @Option(help: "unigram (a SentencePiece model) or wordpiece (a vocab.txt).")
  var kind = "unigram"

  @Option(help: ArgumentHelp("Number of tokens, special ones included.", valueName: "count"))
  var vocabulary = 32000

  @Option(
    parsing: .upToNextOption, help: ArgumentHelp("Text files to learn from.", valueName: "file"))
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
        .usage, "the vocabulary's size cannot be", in: "--vocabulary",
        expected: "1 to 10000000", got: "\(vocabulary)")
    }
    guard kind == .wordpiece || !lowercase else {
      throw MingleError(
        .usage, "a unigram model keeps case", in: "--lowercase", next: "pass --kind wordpiece")
    }
    guard force || !FileManager.default.fileExists(atPath: output) else {
      throw MingleError(
        .usage, "the file is already there", in: output, next: "pass --force to replace it")
    }
    var training = TokenizerTraining(kind, vocabularySize: vocabulary)
    training.lowercases = lowercase
    Interruption.watch()
    let progress = ProgressLine()
    try trainTokenizer(training, files: data, output: output) { event in
      progress.show(event.text)
      return !Interruption.isWanted
    }
    progress.clear()
    Console.note("\(output): \(grouped(vocabulary)) tokens")
  }
}

extension TokenizerTrainingEvent {
  fileprivate var text: String {
    switch self {
    case .read(let bytes, let total): "read \(bytes / 1_000_000) of \(total / 1_000_000) MB"
    case .counted(let words): "\(grouped(words)) different words"
    case .pieces(let count): "\(grouped(count)) pieces"
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
      input are read, of any number. Special tokens before and after a text are not added.

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
    try forEachLine(texts, as: EncodedText.self, json: json.isOn) { text in
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
    try forEachLine(lines, as: DecodedText.self, json: json.isOn) { line in
      let ids = try line.split { $0 == " " || $0 == "," || $0 == "\t" }.map {
        try number($0, of: tokenizer)
      }
      let text = tokenizer.decode(ids)
      return json.isOn ? .document(DecodedText(ids: ids, text: text)) : .text(text)
    }
  }

  private func number(_ word: Substring, of tokenizer: any Tokenizer) throws -> Int32 {
    guard let id = Int32(word), id >= 0, id < tokenizer.vocabularySize else {
      throw MingleError(
        .badData, "not a token's number", expected: "0 to \(tokenizer.vocabularySize - 1)",
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

/// Prints what `body` makes of each text, or of each line of standard input when there are none. With
/// `json`, all of it is one list; it is written piece by piece.
private func forEachLine<Document: Encodable>(
  _ texts: [String], as type: Document.Type, json: Bool,
  _ body: (String) throws -> LineResult<Document>
) throws {
  var output = OutputBuffer()
  var isFirst = true
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  func print(_ text: String) throws {
    switch try body(text) {
    case .text(let line): try output.add(line)
    case .document(let document):
      let line = String(decoding: try encoder.encode(document), as: UTF8.self)
      try output.add((isFirst ? "[\n" : ",\n") + line, terminator: "")
    }
    isFirst = false
  }
  if texts.isEmpty {
    while let line = readLine(strippingNewline: true) { try print(line) }
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
