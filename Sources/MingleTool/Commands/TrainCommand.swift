import ArgumentParser
import Mingle

/// `mingle train`
struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train or fine-tune a network on your own pictures.",
    discussion: """
      A recipe (YAML) holds every setting; flags override it. The run's folder gets config.yaml, \
      log.jsonl, metrics.csv, report.html, last/ and best/. A run that was stopped or killed goes on \
      with --resume, to the same weights as if nothing had happened.

      Examples:
        mingle train --model gmlp_s16_224 --data flowers --output runs/flowers \
      --weights gmlp_s16_224.safetensors --epochs 10
        mingle train Recipes/cifar10-mixer.yaml --data cifar10 --output runs/cifar10
        mingle train --resume --output runs/cifar10
      """)

  @OptionGroup var options: RunOptions

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

  func run() throws { try options.train(changes) }

  /// What the flags for pictures change of the recipe; a name that sets several fields comes before
  /// the flags for one of them.
  private var changes: [RecipeChange] {
    [
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
      + settings.givenFlags.map { flag in
        RecipeChange(flag, settings) { $0.settings.merge(try $1.fields()) { $1 } }
      }
  }
}
