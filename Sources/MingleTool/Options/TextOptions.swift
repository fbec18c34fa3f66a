import ArgumentParser
import Mingle

/// A tokenizer other than the one beside the weights.
struct TokenizerOption: ParsableArguments {
  @Option(
    name: .customLong("tokenizer"),
    help: ArgumentHelp(
      "A SentencePiece .model or a vocab.txt; else the one beside the weights.",
      valueName: "file"))
  var file: String?
}

/// How tables of texts are read.
struct ColumnOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The column of texts: its name, or number from 1; else found.", valueName: "column"))
  var textColumn: String?

  @Option(help: ArgumentHelp("The column of second texts, of pairs.", valueName: "column"))
  var pairColumn: String?

  @Option(help: ArgumentHelp("The column of labels.", valueName: "column"))
  var labelColumn: String?

  /// The given columns in place of `columns`.
  func apply(to columns: TextColumns) -> TextColumns {
    TextColumns(
      text: textColumn ?? columns.text, pair: pairColumn ?? columns.pair,
      label: labelColumn ?? columns.label)
  }
}

/// Settings of training on texts.
struct TextOptions: ParsableArguments {
  @OptionGroup var tokenizer: TokenizerOption

  @OptionGroup var columns: ColumnOptions

  @Option(
    help: ArgumentHelp(
      "The most tokens of a text; longer ones are cut, or read in windows.", valueName: "tokens"))
  var maxLength: Int?

  var changes: [RecipeChange] {
    [
      .text("--tokenizer", tokenizer.file) { $0.tokenizer = $1 },
      .text("--text-column", columns.textColumn) { $0.columns.text = $1 },
      .text("--pair-column", columns.pairColumn) { $0.columns.pair = $1 },
      .text("--label-column", columns.labelColumn) { $0.columns.label = $1 },
      .text("--max-length", maxLength) { $0.length = $1 },
    ]
  }
}
