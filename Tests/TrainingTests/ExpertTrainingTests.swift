import Checkpoints
import Data
import Foundation
import Layers
import TestSupport
import Testing
import Torch
import Training

/// Runs of a model with experts.
@Suite(.serialized, .ownRoutes) @TorchActor struct ExpertTrainingTests {
  private let digits = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../Sources/MingleTool/Resources/digits.csv.gz").standardizedFileURL.path

  private func recipe(_ settings: [String: String] = [:]) -> Recipe {
    var recipe = Recipe(model: "sparse_mlp_b_224", data: digits)
    recipe.settings = [
      "image_size": "8", "patch_size": "2", "input_channels": "1", "depth": "1", "dim": "16",
      "sparse_depth": "1", "sparse_tokens": "20", "sparse_dim": "8", "token_experts": "4",
      "channel_experts": "3", "expert_tokens_hidden": "16", "expert_channels_hidden": "16",
    ]
    recipe.settings.merge(settings) { $1 }
    recipe.augmentation = .none
    recipe.batchSize = 100
    recipe.epochs = 2
    return recipe
  }

  private func weights(in folder: String) throws -> [String: [Float]] {
    let archive = try openTensorArchive(at: "\(folder)/last/model.safetensors")
    return try archive.tensors().mapValues { $0.array(of: Float.self) }
  }

  /// The rows of a run's `metrics.csv` without the columns that tell times.
  private func metrics(in folder: String) throws -> [[String: String]] {
    let lines = try String(contentsOfFile: "\(folder)/metrics.csv", encoding: .utf8)
      .split(separator: "\n").map { line in
        line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      }
    let header = try #require(lines.first)
    return lines.dropFirst().map { fields in
      Dictionary(uniqueKeysWithValues: zip(header, fields))
        .filter { $0.key != "seconds" && $0.key != "images_per_second" }
    }
  }

  @Test(arguments: [3, 20]) func aResumedRunEndsLikeOneThatNeverStopped(_ steps: Int) throws {
    let folder = try TemporaryFolder()
    try Trainer(recipe(["router_noise": "2"]), in: folder("whole")).run()
    _ = try Trainer(recipe(["router_noise": "2"]), in: folder("parts")).run { event in
      if case .step(let report) = event, report.step == steps { .stop } else { .proceed }
    }
    try Trainer(resuming: folder("parts")).run()
    #expect(try weights(in: folder("parts")) == weights(in: folder("whole")))
    #expect(try metrics(in: folder("parts")) == metrics(in: folder("whole")))
  }

  @Test func balanceIsReportedInEventsAndFiles() throws {
    let folder = try TemporaryFolder()
    let layers = ["blocks.1.tokens.moe", "blocks.1.channels.moe"]
    var steps: [ExpertUse] = []
    var epochs: [ExpertUse] = []
    try Trainer(recipe(), in: folder("run")).run { event in
      switch event {
      case .step(let report): steps += report.experts.map { [$0] } ?? []
      case .epoch(let report): epochs += report.experts.map { [$0] } ?? []
      default: break
      }
      return .proceed
    }
    #expect(epochs.count == 2)
    for use in steps + epochs {
      #expect(use.layers.map(\.name) == layers)
      #expect(use.layers.map(\.shares.count) == [4, 3])
      #expect(use.layers.allSatisfy { abs($0.shares.reduce(0, +) - 1) < 1e-9 })
      let loss = 0.005 * (use.importanceLoss + use.loadLoss)
      #expect(abs(use.balanceLoss - loss) < 1e-6)
    }

    let log = try String(contentsOfFile: folder("run/log.jsonl"), encoding: .utf8)
    for part in [
      "\"balance_loss\":", "\"importance_loss\":", "\"load_loss\":", "\"least_used\":",
      "\"most_used\":", "\"name\":\"blocks.1.tokens.moe\"",
    ] {
      #expect(log.contains(part), "the log lacks \(part)")
    }
    let rows = try metrics(in: folder("run"))
    for (row, use) in zip(rows, epochs) {
      #expect(row["balance_loss"] == "\(use.balanceLoss)")
      #expect(row["most_used_expert"] == "\(use.mostUsed)")
      for layer in use.layers {
        #expect(row["\(layer.name).importance_loss"] == "\(layer.importanceLoss)")
        #expect(row["\(layer.name).least_used_expert"] == "\(layer.leastUsed)")
      }
    }
    let page = try String(contentsOfFile: folder("run/report.html"), encoding: .utf8)
    #expect(page.contains("Use of experts"))
  }

  /// One step of plain descent goes along the gradient of the task's loss plus the balance loss.
  @Test(arguments: [1, 2]) func theBalanceLossIsMinimisedWithTheTask(_ accumulation: Int) throws {
    let folder = try TemporaryFolder()
    func change(weight: String) throws -> [String: [Float]] {
      var recipe = recipe(["auxiliary_loss_weight": weight, "router_noise": "0"])
      recipe.optimizer = .sgd
      recipe.optimizer.momentum = 0
      recipe.optimizer.weightDecay = 0
      recipe.schedule = Schedule(.constant, learningRate: 1e-2)
      recipe.clip = nil
      recipe.accumulation = accumulation
      let run = folder("\(weight)")
      var isFirst = true
      try Trainer(recipe, in: run).run { event in
        if case .step = event, isFirst {
          isFirst = false
          return .stop
        }
        return .proceed
      }
      return try weights(in: run)
    }
    let (without, once, twice) = try (change(weight: "0"), change(weight: "1"), change(weight: "2"))
    for key in ["blocks.1.tokens.moe.router.weight", "blocks.0.norm1.weight"] {
      let values = try [without, once, twice].map { try #require($0[key]) }
      let first = zip(values[1], values[0]).map { $0 - $1 }
      let second = zip(values[2], values[1]).map { $0 - $1 }
      let largest = try #require(first.map(abs).max())
      #expect(largest > 0, "\(key)")
      let difference = zip(first, second).map { abs($0 - $1) }.max() ?? 1
      #expect(difference < 0.02 * largest + 2e-7, "\(key)")
    }
  }

  @Test func modelsWithoutExpertsTellNothing() throws {
    let folder = try TemporaryFolder()
    var recipe = recipe(["sparse_depth": "0"])
    recipe.epochs = 1
    let result = try Trainer(recipe, in: folder("run")).run()
    #expect(result.last?.experts == nil)
    #expect(try metrics(in: folder("run")).first?["balance_loss"] == nil)
    let log = try String(contentsOfFile: folder("run/log.jsonl"), encoding: .utf8)
    #expect(!log.contains("experts"))
  }
}
