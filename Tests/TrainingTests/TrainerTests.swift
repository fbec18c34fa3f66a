import Checkpoints
import Data
import Foundation
import Layers
import TestSupport
import Testing
import Torch
import Training

/// Whole runs on the handwritten digits that the demo uses.
@Suite(.serialized, .ownRoutes) @TorchActor struct TrainerTests {
  private let digits = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../Sources/MingleTool/Resources/digits.csv.gz").standardizedFileURL.path

  /// Everything that has a state: dropout, drop path, moments, averages, augmentation.
  private func recipe(_ model: String = "gmlp_ti16_224") -> Recipe {
    var recipe = Recipe(model: model, data: digits)
    recipe.settings = [
      "image_size": "8", "patch_size": "2", "input_channels": "1", "depth": "2", "dim": "16",
      "drop_path": "0.2", "dropout": "0.1",
    ]
    recipe.augmentation.padding = 1
    recipe.augmentation.randomResizedCrop = RandomResizedCrop(scale: [1.0 / 3, 1])
    recipe.augmentation.mixup = 0.5
    recipe.emaDecay = 0.9
    recipe.batchSize = 100
    recipe.epochs = 2
    return recipe
  }

  /// What a run saved besides tensors.
  private func state(in file: URL) throws -> [String: Any] {
    let json = try JSONSerialization.jsonObject(with: Data(contentsOf: file))
    return try #require(json as? [String: Any])
  }

  private func weights(in folder: String) throws -> [String: [Float]] {
    var values: [String: [Float]] = [:]
    for name in ["model", "optimizer"] {
      let archive = try openTensorArchive(at: "\(folder)/last/\(name).safetensors")
      for (key, tensor) in try archive.tensors() {
        values["\(name):\(key)"] = tensor.array(of: Float.self)
      }
    }
    return values
  }

  @Test(arguments: [1, 7, 15, 22]) func aResumedRunEndsLikeOneThatNeverStopped(
    _ steps: Int
  ) throws {
    let folder = try TemporaryFolder()
    try Trainer(recipe(), in: folder("whole")).run()
    let stopped = try Trainer(recipe(), in: folder("parts")).run { event in
      if case .step(let report) = event, report.step == steps { .stop } else { .proceed }
    }
    #expect(stopped.wasStopped)
    let resumed = try Trainer(resuming: folder("parts")).run()
    #expect(!resumed.wasStopped)
    let whole = try weights(in: folder("whole"))
    #expect(try weights(in: folder("parts")) == whole)
    #expect(whole.count > 10)
    let lines = try ["whole", "parts"].map { name in
      try String(contentsOfFile: folder("\(name)/log.jsonl"), encoding: .utf8)
        .split(separator: "\n").count
    }
    #expect(lines[0] == lines[1])
  }

  /// bf16 may mean float32 on this processor; what the run began with holds, wherever it goes on.
  @Test(arguments: Precision.allCases) func aRunGoesOnWithTheProductsThatItBeganWith(
    _ products: Precision
  ) throws {
    let folder = try TemporaryFolder()
    try Trainer(recipe(), in: folder("float32")).run()
    var recipe = recipe()
    recipe.precision = .bfloat16
    try Trainer(recipe, in: folder("run")).run { event in
      if case .step(let report) = event, report.step == 2 { .stop } else { .proceed }
    }
    let file = URL(filePath: folder("run/last/state.json"))
    let here = Precision.bfloat16.products(on: .cpu)
    #expect(try state(in: file)["products"] as? String == here.rawValue)
    var changed = try state(in: file)
    changed["products"] = products.rawValue
    try JSONSerialization.data(withJSONObject: changed).write(to: file)
    try Trainer(resuming: folder("run")).run()
    #expect(try state(in: file)["products"] as? String == products.rawValue)
    let isFloat32 = try weights(in: folder("run")) == weights(in: folder("float32"))
    #expect(isFloat32 == (here == .float32 && products == .float32))
  }

  /// Kernels and layers differ in the last bits: what a run began with holds.
  @Test(arguments: BranchRoutes.Route.allCases) func aRunGoesOnWithTheBranchesThatItBeganWith(
    _ route: BranchRoutes.Route
  ) throws {
    let folder = try TemporaryFolder()
    var recipe = recipe()
    recipe.settings["dropout"] = "0"  // within a branch, no kernel does it
    try Trainer(recipe, in: folder("run")).run { event in
      if case .step(let report) = event, report.step == 2 { .stop } else { .proceed }
    }
    let file = URL(filePath: folder("run/last/state.json"))
    var changed = try state(in: file)
    let branches = try #require(changed["branches"] as? [String: String])
    #expect(!branches.isEmpty)
    let fixed = branches.mapValues { _ in route.rawValue }
    changed["branches"] = fixed
    try JSONSerialization.data(withJSONObject: changed).write(to: file)
    try Trainer(resuming: folder("run")).run()
    #expect(try state(in: file)["branches"] as? [String: String] == fixed)
  }

  @Test func alsoInLowPrecisionWithBlocksComputedAgain() throws {
    let folder = try TemporaryFolder()
    var recipe = recipe()
    recipe.precision = .bfloat16
    recipe.activationCheckpointing = true
    recipe.accumulation = 2
    try Trainer(recipe, in: folder("whole")).run()
    let stopped = try Trainer(recipe, in: folder("parts")).run { event in
      if case .step(let report) = event, report.step == 11 { .stop } else { .proceed }
    }
    #expect(stopped.wasStopped)
    try Trainer(resuming: folder("parts")).run()
    let isSame = try weights(in: folder("parts")) == weights(in: folder("whole"))
    #expect(isSame)
  }

  @Test(arguments: Precision.allCases) func blocksComputedAgainChangeNothing(
    _ precision: Precision
  ) throws {
    let folder = try TemporaryFolder()
    for isOn in [false, true] {
      var recipe = recipe()
      recipe.precision = precision
      recipe.activationCheckpointing = isOn
      recipe.epochs = 1
      try Trainer(recipe, in: folder("\(isOn)")).run()
    }
    let isSame = try weights(in: folder("false")) == weights(in: folder("true"))
    #expect(isSame)
  }

  @Test func aRunKilledBeforeItsFirstSaveStartsAgain() throws {
    let folder = try TemporaryFolder()
    try Trainer(recipe(), in: folder("whole")).run()
    _ = try Trainer(recipe(), in: folder("killed"))
    try Trainer(resuming: folder("killed")).run()
    #expect(try weights(in: folder("killed")) == weights(in: folder("whole")))
  }

  @Test func whatAKilledRunLeftIsDeleted() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.createDirectory(
      atPath: folder("run"), withIntermediateDirectories: true)
    try folder.write([], to: "run/.config.yaml.1x9k.tmp")
    _ = try Trainer(recipe(), in: folder("run"))
    let names = try FileManager.default.contentsOfDirectory(atPath: folder("run"))
    #expect(names == ["config.yaml"])
    try folder.write([], to: "run/.report.html.1x9k.tmp")
    _ = try Trainer(resuming: folder("run"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder("run")) == names)
  }

  @Test func theNumberOfWorkersDoesNotMatter() throws {
    let folder = try TemporaryFolder()
    for workers in [1, 3] {
      var recipe = recipe()
      recipe.workers = workers
      recipe.epochs = 1
      try Trainer(recipe, in: folder("\(workers)")).run()
    }
    #expect(try weights(in: folder("1")) == weights(in: folder("3")))
  }

  /// The pictures in batches of 120 leave a last group that is short in both ways.
  @Test func accumulationEqualsTheLargeBatch() throws {
    let folder = try TemporaryFolder()
    for (batchSize, accumulation) in [(480, 1), (120, 4)] {
      var recipe = recipe()
      recipe.settings["drop_path"] = "0"
      recipe.settings["dropout"] = "0"
      recipe.augmentation = .none
      recipe.optimizer = .sgd
      recipe.clip = nil
      recipe.batchSize = batchSize
      recipe.accumulation = accumulation
      try Trainer(recipe, in: folder("\(batchSize)")).run()
    }
    let (large, small) = (try weights(in: folder("480")), try weights(in: folder("120")))
    for (key, values) in large where key.hasPrefix("model:") {
      let other = try #require(small[key])
      let largest = zip(values, other).map { abs($0 - $1) }.max() ?? 1
      #expect(largest < 2e-5, "\(key)")
    }
  }

  @Test func aModelLearnsAFewBatchesByHeart() throws {
    var recipe = recipe("mixer_s16_224")
    recipe.settings["drop_path"] = "0"
    recipe.settings["dropout"] = "0"
    recipe.emaDecay = nil
    recipe.epochs = 60
    recipe.schedule.learningRate = 1e-2
    recipe.optimizer.weightDecay = 0
    let result = try Trainer(recipe, in: nil, rehearsal: .overfit(batches: 2)).run()
    #expect(try #require(result.last).validation.headline.value > 0.99)
  }

  @Test func aFastRunLeavesNothingBehind() throws {
    let folder = try TemporaryFolder()
    let result = try Trainer(recipe(), in: folder("run"), rehearsal: .fastRun).run()
    #expect(result.last?.step == 2)
    #expect(!FileManager.default.fileExists(atPath: folder("run")))
  }

  @Test func aRunIsNotOverwritten() throws {
    let folder = try TemporaryFolder()
    _ = try Trainer(recipe(), in: folder("run"))
    let error = #expect(throws: MingleError.self) {
      _ = try Trainer(recipe(), in: folder("run"))
    }
    #expect(error?.kind == .usage)
    #expect(error?.description.contains("--resume") == true)
    #expect(throws: MingleError.self) { _ = try Trainer(resuming: folder("elsewhere")) }
  }

  @Test func aDivergingRunStopsAndSaysWhere() throws {
    var recipe = recipe()
    recipe.schedule = Schedule(.constant, learningRate: 1e30)
    recipe.clip = nil
    recipe.optimizer = .sgd
    let error = #expect(throws: MingleError.self) { try Trainer(recipe, in: nil).run() }
    #expect(error?.kind == .failed)
    #expect(error?.description.contains("diverged at step") == true)
  }

  @Test func typingErrorsInARecipeAreFound() throws {
    let wrong = [
      ("model: m\ndata: d\nepoch: 3", "did you mean 'epochs'?"),
      ("model: m\ndata: d\nschedule: {name: cosine, learning_rate: 1, warmpu: 3}", "'warmup'"),
      ("model: m\ndata: d\nepochs: many", "'epochs' cannot be read: expected a whole number"),
      ("model: m\ndata: d\nclip: [1]", "'clip' cannot be read: expected"),
      ("- a", "the recipe cannot be read: expected keys with values"),
      ("model: m\ndata: d\noptimizer: {name: adam}", "optimizer.name"),
      (
        "model: m\ndata: d\naugmentation: {random_resized_crop: {scal: [0.5, 1]}}",
        "'augmentation.random_resized_crop.scal'; did you mean 'scale'?"
      ),
      ("augmentation:\n  color_jitter: {brightnes: 1}", "'augmentation.color_jitter.brightnes'"),
      ("augmentation:\n  rand_augment: {magnitud: 1}", "did you mean 'magnitude'?"),
      ("model: [", "no valid YAML: did not find expected node content in line 2, column 1"),
      ("model: m\ndata: d\nepochs: 1\nepochs: 2", "no valid YAML: given twice: epochs"),
    ]
    for (yaml, part) in wrong {
      let error = #expect(throws: MingleError.self) { _ = try Recipe(yaml: yaml) }
      #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
    }
    var recipe = recipe()
    recipe.saveEvery = 7
    recipe.augmentation = .light
    recipe.augmentation.randomResizedCrop?.ratio = [0.75, 1.25]
    recipe.augmentation.colorJitter = ColorJitter(brightness: 0.5)
    recipe.augmentation.randAugment = RandAugment(magnitude: 7)
    #expect(try Recipe(yaml: recipe.yaml()) == recipe)
  }
}
