/// A column's name, compared with those that data sets use.
struct ColumnWord {
  /// In lower case, with `_` for spaces and hyphens.
  let word: String
  private let parts: [Substring]

  init(_ name: String) {
    word = String(name.lowercased().map { $0 == " " || $0 == "-" ? "_" : $0 })
    parts = word.split(separator: "_")
  }

  /// Names of label columns, the best first.
  static let labels = [
    "gold_label", "label", "labels", "is_duplicate", "quality", "score", "similarity", "class",
    "class_index", "category", "target", "sentiment", "polarity", "rating", "stars", "intent",
    "emotion", "topic", "label_text", "y", "label1",
  ]

  /// Names of the two columns of pairs.
  static let pairs = [
    ("sentence1", "sentence2"), ("question1", "question2"), ("premise", "hypothesis"),
    ("#1_string", "#2_string"), ("text_a", "text_b"), ("text1", "text2"),
    ("sentence_a", "sentence_b"),
    ("question", "sentence"), ("question", "passage"), ("query", "passage"),
    ("question", "context"),
    ("title", "description"), ("title", "content"), ("title", "text"), ("title", "body"),
  ]

  /// Names of columns of single texts, the best first.
  static let texts = [
    "sentence", "text", "content", "review", "review_text", "tweet", "comment", "comment_text",
    "utterance", "document", "message", "body", "phrase", "query", "question", "sms", "article",
    "abstract", "headline", "description", "title", "sentence1", "premise",
  ]

  var isKnown: Bool {
    Self.labels.contains(word) || Self.texts.contains(word)
      || Self.pairs.contains { $0 == word || $1 == word }
  }

  var hasLabelPart: Bool {
    isShort
      && parts.contains { ["label", "class", "category", "target", "sentiment"].contains($0) }
  }

  var hasTextPart: Bool {
    isShort && parts.contains { ["text", "sentence", "review", "content", "comment"].contains($0) }
  }

  /// Texts have such words in them, too.
  private var isShort: Bool { parts.count <= 3 && word.utf8.count <= 40 }
}
