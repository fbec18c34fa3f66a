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
  private var digits: String { "\(folder)/digits.csv.gz" }

  mutating func run() throws {
    if output == nil { output = freeFolder() }
    guard !FileManager.default.fileExists(atPath: folder) else {
      throw MingleError(.usage, "the folder exists already", in: folder, next: "name another one")
    }
    try makeFolder(folder)
    try writeAtomically(to: digits) { try $0.write(PackageResources.digits_csv_gz) }

    Interruption.watch()
    for (name, recipe) in recipes {
      try Console.print("\nTraining \(name)\n")
      let progress = TrainingProgress()
      let result = try Trainer(recipe, in: "\(folder)/\(name)").run(progress.show)
      if result.wasStopped { throw MingleError(.interrupted, "the demo was stopped") }
      try Console.print("\n\(name): trained for \(duration(result.seconds))")
    }
    let predictors = try recipes.map { ($0.name, try Predictor("\(folder)/\($0.name)")) }
    let test = try openTrainingData(
      at: digits, holdingOut: Self.holdOut, seed: Self.seed
    ).test
    try evaluate(predictors, on: test)
    try predict(test, with: predictors)
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

  private static let holdOut = 0.2
  private static let seed: UInt64 = 1

  /// Small networks on patches of 2 x 2 pixels, the same schedule for both.
  private var recipes: [(name: String, recipe: Recipe)] {
    [("gmlp", "gmlp_ti16_224"), ("mixer", "mixer_s16_224")].map { name, model in
      var recipe = Recipe(model: model, data: URL(filePath: digits).standardizedFileURL.path)
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
      recipe.holdOut = Self.holdOut
      recipe.seed = Self.seed
      return (name, recipe)
    }
  }

  /// Measures the best weights of both networks on the pictures that were held out.
  private func evaluate(
    _ predictors: [(name: String, predictor: Predictor)], on test: any ImageDataset
  ) throws {
    try Console.print("\nOn \(test.count) digits that no training has seen:\n")
    for (name, predictor) in predictors {
      let loader = try BatchLoader(
        test, preprocessing: predictor.checkpoint.preprocessing,
        options: .evaluation(batchSize: 64))
      let report = try Mingle.evaluate(predictor.checkpoint.model, on: loader)
      try Console.print("  \(name): \(report.summary)")
      if let pair = report.mostConfused {
        try Console.print(
          "    most often wrong: \(pair.label) taken for \(pair.answer), "
            + "\(pair.count) of \(pair.support) times")
      }
    }
  }

  /// Shows what both networks say about a few test pictures.
  private func predict(
    _ test: any ImageDataset, with predictors: [(name: String, predictor: Predictor)]
  ) throws {
    let pictures = "\(folder)/pictures"
    try makeFolder(pictures)
    for index in stride(from: 0, to: test.count, by: test.count / 3) {
      let image = try test.image(at: index)
      let path = "\(pictures)/\(index)-is-\(test.classNames[test.label(at: index)]).png"
      let png = try image.encodedAsPNG()
      try writeAtomically(to: path) { try $0.write(png) }
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

extension ClassificationReport {
  /// The class that was most often taken for a certain other one; nil if nothing went wrong.
  fileprivate var mostConfused: (label: String, answer: String, count: Int, support: Int)? {
    let wrong = (confusion ?? []).enumerated().flatMap { label, counts in
      counts.enumerated().filter { $0.offset != label && $0.element > 0 }
        .map { (label: label, answer: $0.offset, count: $0.element) }
    }
    return wrong.max { $0.count < $1.count }.map {
      (classes[$0.label].name, classes[$0.answer].name, $0.count, classes[$0.label].support)
    }
  }
}
