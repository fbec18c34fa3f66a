import ArgumentParser
import Foundation
import Mingle

/// `mingle demo`
struct DemoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Train a gMLP and a Mixer on handwritten digits, and let them read some.",
    discussion: """
      1,797 digits of 8 x 8 pixels come with the program (Alpaydin and Kaynak, Optical Recognition \
      of Handwritten Digits, UCI Machine Learning Repository, CC BY 4.0). Four fifths are for \
      training, one fifth for testing. Takes less than a minute.

      Example: mingle demo
      """)

  @Option(
    help: ArgumentHelp(
      "The folder for data, runs and pictures, which must not be there yet; runs/demo, or "
        + "runs/demo-2 where that is taken, and so on.", valueName: "folder"))
  var output: String?

  private var folder: String { output ?? "runs/demo" }

  mutating func run() throws {
    if output == nil { output = freeFolder() }
    guard !FileManager.default.fileExists(atPath: folder) else {
      throw MingleError(.usage, "the folder exists already", in: folder, next: "name another one")
    }
    try makeFolder(folder)
    let digits = "\(folder)/digits.csv.gz"
    try Data(PackageResources.digits_csv_gz).write(to: URL(filePath: digits))

    Interruption.watch()
    for (name, recipe) in recipes(on: digits) {
      try Console.print("\nTraining \(name)\n")
      let progress = TrainingProgress()
      let result = try Trainer(recipe, in: "\(folder)/\(name)").run(progress.show)
      if result.wasStopped { throw MingleError(.interrupted, "the demo was stopped") }
      if let last = result.last {
        try Console.print(
          "\n\(name): test accuracy \(percent(last.validation.accuracy)) after "
            + duration(result.seconds))
      }
    }
    try predict(digits)
    try Console.print(
      """

      What next?
        mingle evaluate \(folder)/gmlp --data \(digits)
        mingle predict \(folder)/mixer \(folder)/pictures/*.png --top-k 3
        mingle train --model gmlp_s16_224 --data PICTURES --output runs/mine
        mingle models
      """)
  }

  /// The first of `runs/demo`, `runs/demo-2`, ... that is not there.
  private func freeFolder() -> String {
    var name = "runs/demo"
    var number = 1
    while FileManager.default.fileExists(atPath: name) {
      number += 1
      name = "runs/demo-\(number)"
    }
    return name
  }

  private func makeFolder(_ path: String) throws {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw MingleError(
        .failed, "the folder cannot be made", in: path,
        next: "check that the folder above it is writable, or pass --output")
    }
  }

  /// Small networks on patches of 2 x 2 pixels, the same schedule for both.
  private func recipes(on digits: String) -> [(name: String, recipe: Recipe)] {
    [("gmlp", "gmlp_ti16_224"), ("mixer", "mixer_s16_224")].map { name, model in
      var recipe = Recipe(model: model, data: digits)
      recipe.settings = [
        "image_size": "8", "patch_size": "2", "input_channels": "1", "depth": "4", "dim": "64",
      ]
      recipe.epochs = 20
      recipe.schedule = Schedule(.cosine, learningRate: 4e-3).with { $0.warmup = .share(0.1) }
      recipe.augmentation.randomResizedCrop = RandomResizedCrop(
        scale: [0.75, 1], ratio: [0.85, 1.18])
      recipe.augmentation.labelSmoothing = 0.1
      recipe.emaDecay = 0.98
      recipe.workers = 1
      recipe.seed = 1
      return (name, recipe)
    }
  }

  /// Shows what both networks say about a few test pictures.
  private func predict(_ digits: String) throws {
    let test = try openTrainingData(at: digits, holdingOut: 0.2, seed: 1).test
    let pictures = "\(folder)/pictures"
    try makeFolder(pictures)
    let predictors = try ["gmlp", "mixer"].map { ($0, try Predictor("\(folder)/\($0)")) }
    for index in stride(from: 0, to: test.count, by: test.count / 3) {
      let image = try test.image(at: index)
      let path = "\(pictures)/\(index)-is-\(test.classNames[test.label(at: index)]).png"
      try Data(image.encodedAsPNG()).write(to: URL(filePath: path))
      try Console.print("\n\(path)\n\(drawing(of: image))")
      for (name, predictor) in predictors {
        let answer = Answer(image: name, predictions: try predictor.classify(image, top: 3))
        try Console.print(answer.text)
      }
    }
  }

  /// The picture in characters, dark to light.
  private func drawing(of image: Image) -> String {
    let shades = Array(" .:-=+*#%@")
    return (0..<image.height).map { row in
      let pixels = image.pixels[row * image.width..<(row + 1) * image.width]
      return "    " + pixels.map { String(repeating: shades[Int($0) * 9 / 255], count: 2) }.joined()
    }.joined(separator: "\n")
  }
}
