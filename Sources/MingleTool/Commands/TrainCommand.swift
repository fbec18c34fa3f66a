import ArgumentParser
import Foundation
import Mingle

/// `mingle train`
struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train or fine-tune a network on your own pictures or texts.",
    discussion: """
      The data are pictures in a folder for each class (or tar, CSV, CIFAR, IDX files); with --task \
      text a table of texts and labels (.tsv, .csv, .jsonl; GLUE's folders as they are); with --task \
      questions SQuAD's JSON. Language models are best trained from weights of 'mingle pretrain'.

      A recipe (YAML) holds every setting; flags override it. The run's folder gets config.yaml, \
      log.jsonl, metrics.csv, report.html, last/ and best/. A run that was stopped or killed goes on \
      with --resume, to the same weights as if nothing had happened.

      Examples:
        mingle train --model gmlp_s16_224 --data flowers --output runs/flowers \
      --weights gmlp_s16_224.safetensors --epochs 10
        mingle train Recipes/cifar10-mixer.yaml --data cifar10 --output runs/cifar10
        mingle train --task text --weights runs/gmlp --data SST-2 --output runs/sst2
        mingle train --resume --output runs/cifar10
      """)

  @OptionGroup var options: RunOptions

  @Option(help: "What to learn; images unless the recipe tells.")
  var task: TrainingTask?

  @Option(help: "softmax, or sigmoid: a yes or no for each class.")
  var loss: Loss?

  @Option(help: "What happens to the pictures: none, light, small or strong.")
  var augmentation: String?

  @Option(help: ArgumentHelp("The share of the target given to all classes.", valueName: "share"))
  var labelSmoothing: Double?

  @Flag(help: "Leave out pictures that cannot be read, instead of stopping.")
  var skipBroken = false

  @OptionGroup var settings: SettingOptions
  @OptionGroup var resizing: ResizingOptions
  @OptionGroup var text: TextOptions

  func run() throws { try options.train(changes) }

  /// What the command's own flags change of the recipe; a name that sets several fields comes before
  /// the flags for one of them.
  private var changes: [RecipeChange] {
    [
      RecipeChange("--task", task) { $0.task = $1 },
      RecipeChange("--loss", loss) { $0.loss = $1 },
      RecipeChange("--augmentation", augmentation) { recipe, name in
        guard let preset = Augmentation.presets[name] else {
          throw MingleError(
            .usage, "no augmentation is called '\(name)'",
            expected: Augmentation.presets.keys.sorted().joined(separator: ", "))
        }
        recipe.augmentation = preset
      },
      RecipeChange("--label-smoothing", labelSmoothing) { $0.augmentation.labelSmoothing = $1 },
      RecipeChange("--skip-broken", skipBroken ? true : nil) { $0.skipBroken = $1 },
      RecipeChange("--resize-tokens", resizing.resizeTokens) { $0.resizeTokens = $1 },
    ]
      + text.changes
      + settings.givenFlags.map { flag in
        RecipeChange(flag, settings) { $0.settings.merge(try $1.fields()) { $1 } }
      }
  }
}

extension TrainingTask: ExpressibleByArgument {}
