import Torch

/// How text files are read for pre-training.
public struct CorpusOptions: Codable, Hashable, Sendable {
  /// Where a document of a text file ends. A row of a JSONL file is a document always.
  public enum DocumentEnd: String, Codable, Sendable, CaseIterable {
    /// At the file's end.
    case file
    /// At a line without text, as in the files that BERT was made with.
    case emptyLine = "empty_line"
    /// At each line's end.
    case line
  }

  /// What becomes of bytes that are no UTF-8.
  public enum InvalidText: String, Codable, Sendable, CaseIterable {
    /// Each invalid sequence becomes U+FFFD; the lines are counted.
    case replace
    /// They are an error that names file and line.
    case refuse
  }

  /// The field of JSONL rows that holds the text.
  public var textField = "text"
  public var documentEnd = DocumentEnd.file
  public var invalidText = InvalidText.replace

  public init() {}

  package static var fields: [Field<CorpusOptions>] {
    [
      Field("text_field", \.textField), Field("document_end", \.documentEnd),
      Field("invalid_text", \.invalidText),
    ]
  }

  /// A key that is not there keeps its default.
  public init(from decoder: any Decoder) throws {
    self.init()
    try Self.fields.read(into: &self, from: decoder)
  }

  public func encode(to encoder: any Encoder) throws { try Self.fields.write(self, to: encoder) }
}

/// What reading a corpus showed.
public struct CorpusReport: Codable, Hashable, Sendable {
  /// A file and how often something happened in it.
  public struct Count: Codable, Hashable, Sendable {
    public let file: String
    public let count: Int
  }

  public var files = 0
  public var bytes = 0
  public var documents = 0
  public var tokens = 0
  /// Files without a byte.
  public var emptyFiles: [String] = []
  /// Lines with invalid UTF-8, which was replaced.
  public var invalidLines: [Count] = []
  /// Lines so long that they were cut: at a space after 1 MiB or, where there is none for another
  /// MiB, between two characters.
  public var cutLines: [Count] = []
  /// JSONL rows whose text is empty.
  public var emptyRows: [Count] = []
  /// Files in folders that are no text by their names.
  public var ignoredFiles: [String] = []

  public init() {}

  /// What a user should know, a line for each kind: "2 lines with invalid UTF-8 (a.txt 2)".
  public var remarks: [String] {
    let counts = [
      ("lines with invalid UTF-8, replaced", invalidLines), ("gigantic lines cut", cutLines),
      ("rows without text", emptyRows),
    ].filter { !$1.isEmpty }.map { what, counts in
      let sum = counts.reduce(0) { $0 + $1.count }
      return "\(sum) \(what) (\(listed(counts.map { "\($0.file) \($0.count)" })))"
    }
    let names = [("empty files", emptyFiles), ("files that are no text", ignoredFiles)]
      .filter { !$1.isEmpty }.map { what, names in "\(names.count) \(what) (\(listed(names)))" }
    return counts + names
  }
}

/// The first few of many names.
func listed(_ names: [String], limit: Int = 5) -> String {
  names.prefix(limit).joined(separator: ", ") + (names.count > limit ? ", ..." : "")
}
