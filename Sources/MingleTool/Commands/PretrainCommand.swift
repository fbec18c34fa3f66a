import ArgumentParser
import Mingle

/// `mingle pretrain`
struct PretrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pretrain",
    abstract: "Train a language model to find masked tokens.",
    discussion: """
      The data are a text file, a folder of such (.txt, .md; .jsonl with a text in each row), or a \
      folder with parts that are named train and valid. They are tokenised once; the tokens are kept \
      for other runs. The run's folder is like that of 'mingle train', with the tokenizer beside the \
      weights.

      Examples:
        mingle tokenizer train --kind unigram --vocabulary 8000 --data wiki/train.txt \
      --output wiki.model
        mingle pretrain --model gmlp_base --set depth=6 dim=128 ffn_dim=512 --data wiki \
      --tokenizer wiki.model --output runs/gmlp
        mingle pretrain --resume --output runs/gmlp
      """)

  @OptionGroup var options: RunOptions

  @Option(help: "The tokenizer's file: a SentencePiece .model or a vocab.txt.")
  var tokenizer: String?

  @Option(help: "Text to validate on, in place of a part of the data.")
  var validation: String?

  @Option(help: ArgumentHelp("The share of tokens to mask.", valueName: "share"))
  var maskingRate: Double?

  @Flag(help: "Mask words instead of tokens.")
  var wholeWords = false

  @Option(
    help: ArgumentHelp("Where tokenised text is kept for other runs.", valueName: "folder"))
  var cache: String?

  @Option(
    help: ArgumentHelp("Tokens in a sequence; the model's own unless given.", valueName: "count"))
  var sequenceLength: Int?

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      "Change a configuration field, such as depth=4; 'mingle info MODEL' lists them. Repeatable.",
      valueName: "key=value"),
    transform: Setting.init(parsing:))
  var settings: [Setting] = []

  func run() throws { try options.train(for: .mlm, changes) }

  private var changes: [RecipeChange] {
    [
      .text("--tokenizer", tokenizer) { $0.tokenizer = $1 },
      .text("--validation", validation) { $0.validation = $1 },
      .text("--masking-rate", maskingRate) { $0.masking.rate = $1 },
      .text("--whole-words", wholeWords ? true : nil) { $0.masking.wholeWords = $1 },
      .text("--cache", cache) { $0.cache = $1 },
      RecipeChange("--sequence-length", sequenceLength) {
        $0.settings["sequence_length"] = "\($1)"
      },
      RecipeChange("--set", settings.isEmpty ? nil : settings) { recipe, settings in
        for setting in settings { recipe.settings[setting.key] = setting.value }
      },
    ]
  }
}
