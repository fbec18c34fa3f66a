import Checkpoints
import Foundation
import Layers
import Models
import Torch

/// Where a run stands; with the tensors beside it, all that its continuation depends on.
struct RunState: Codable {
  /// What a continuation must find again.
  struct DataSummary: Codable, Equatable, CustomStringConvertible {
    var trainingSamples = 0
    var validationSamples = 0
    var classNames: [String] = []
    /// Hashes of the text; nil where only the samples are counted.
    var contents: [String]?

    var description: String {
      "\(trainingSamples) and \(validationSamples) samples"
        + (classNames.isEmpty
          ? "" : " of \(classNames.prefix(5)), \(classNames.count) classes")
        + (contents.map { " of text \($0.map { $0.prefix(8) }.joined(separator: " and "))" } ?? "")
    }
  }

  var data = DataSummary()
  /// CPU threads: some sums are split by them, which changes the last bits.
  var threads = Engine.threadCount
  /// What matrix products are computed in: the recipe's precision, or float32 where that is faster. A
  /// run goes on with it on any processor; nil in runs of before there was a choice.
  var products: Precision?
  /// How residual branches are computed, by kind and sizes; nil in runs of before there was a choice,
  /// which took kernels.
  var branches: [String: BranchRoutes.Route]?
  /// The recipe, as YAML.
  var recipe = ""
  /// The epoch under way, from 0, and its next batch.
  var epoch = 0
  var nextBatch = 0
  /// Steps of the optimizer that are done.
  var step = 0
  /// Of the epoch under way: loss times targets, targets, units of speed, the mean use of experts,
  /// and seconds.
  var lossSum = 0.0
  var targetCount = 0
  var unitCount = 0
  var experts: ExpertUse?
  var epochSeconds = 0.0
  /// Places of the samples that were left out.
  var skippedTraining: Set<Int> = []
  var skippedValidation: Set<Int> = []
  /// Time spent training, in seconds.
  var seconds = 0.0
  var best: EpochReport?
  var last: EpochReport?
  /// Lengths of the logs in bytes: a resumed run goes on from there.
  var logBytes: UInt64 = 0
  var metricsBytes: UInt64 = 0
}

/// The folder of a run: `config.yaml`, `log.jsonl`, `metrics.csv`, `last/`, `best/`, `report.html`.
///
/// `last` and `best` are replaced as a whole, so that a crash at any moment leaves complete ones.
struct RunFolder {
  let path: String
  private let lock: RunLock

  private static let configuration = "config.yaml"
  private static let report = "report.html"

  /// Makes a new run's folder.
  ///
  /// - Throws: `MingleError` if something is there already, or it cannot be written.
  init(creating path: String, recipe: Recipe) throws {
    self.path = path
    let manager = FileManager.default
    if manager.fileExists(atPath: path) {
      guard let contents = try? manager.contentsOfDirectory(atPath: path) else {
        throw MingleError(.usage, "a file is where the run's folder should be", in: path)
      }
      // A run that was killed while it wrote its first file is none yet.
      guard contents.allSatisfy({ isLeftover($0, of: Self.configuration) }) else {
        let isRun = contents.contains(Self.configuration)
        throw MingleError(
          .usage, isRun ? "there is a run already" : "the folder is not empty", in: path,
          next: isRun ? "pass --resume to go on with it, or another --output" : "name another one")
      }
    }
    let isNew = !manager.fileExists(atPath: path)
    do {
      try manager.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw MingleError(
        .failed, "the run's folder cannot be made", in: path,
        next: "check that the folder above it is writable")
    }
    do {
      lock = try RunLock(path)
      try removeLeftovers(of: [Self.configuration], in: path)
      try writeAtomically(recipe.yaml(), to: "\(path)/\(Self.configuration)")
    } catch {
      if isNew { rmdir(path) }
      throw error
    }
  }

  /// Opens the folder of a run to go on with.
  ///
  /// - Throws: `MingleError` if there is no run.
  init(opening path: String) throws {
    self.path = path
    guard FileManager.default.fileExists(atPath: "\(path)/\(Self.configuration)") else {
      throw MingleError(
        .missingInput, "there is no run to resume", in: path, expected: "config.yaml and last/")
    }
    lock = try RunLock(path)
    try removeLeftovers(of: [Self.configuration, Self.report], in: path)
  }

  func recipe() throws -> Recipe { try Recipe(contentsOf: "\(path)/\(Self.configuration)") }

  // MARK: - Checkpoints

  /// Writes `last`, and `best` too if this is the best.
  ///
  /// - Parameters:
  ///   - tensors: what the next steps depend on besides the weights.
  ///   - writeWeights: writes `model.safetensors`, and what belongs to it, into a folder.
  func save(
    tensors: [String: Tensor], state: RunState, isBest: Bool,
    _ writeWeights: (_ folder: String) throws -> Void
  ) throws {
    func write(to folder: String) throws {
      try writeWeights(folder)
      try Safetensors.write(tensors, to: "\(folder)/optimizer.safetensors")
      try writeAtomically(json(state), to: "\(folder)/state.json")
    }
    // `best` first: a crash between the two repeats the steps since the last save, and writes the
    // same `best` again.
    if isBest { try replaceFolder(at: "\(path)/best", write) }
    try replaceFolder(at: "\(path)/last", write)
  }

  /// What was saved last, with the file of the weights; nil if the run ended before its first save.
  func restore() throws -> (weights: String, tensors: [String: Tensor], state: RunState)? {
    guard let folder = try readableFolder(at: "\(path)/last") else { return nil }
    let file = "\(folder)/state.json"
    guard let data = FileManager.default.contents(atPath: file),
      let state = try? JSONDecoder().decode(RunState.self, from: data)
    else {
      throw MingleError(
        .badData, "the run's state cannot be read", in: file,
        next: "the file is damaged; start another run from the weights in best/")
    }
    return (
      "\(folder)/model.safetensors",
      try Safetensors(at: "\(folder)/optimizer.safetensors").tensors(), state
    )
  }

  // MARK: - Logs

  /// Opens `name` for appending after its first `length` bytes; what follows them is cut off.
  func log(_ name: String, from length: UInt64) throws -> RunLog {
    try RunLog("\(path)/\(name)", from: length)
  }

  /// The epochs in `metrics.csv`.
  func metrics() -> [MetricsRow] { MetricsRow.rows(of: text("metrics.csv")) }

  /// The text of a file of the run; empty where it cannot be read.
  func text(_ name: String) -> String {
    let data = FileManager.default.contents(atPath: "\(path)/\(name)")
    return String(decoding: data ?? Data(), as: UTF8.self)
  }

  func writeReport(_ report: RunReport) throws {
    try writeAtomically(report.html, to: "\(path)/\(Self.report)")
  }

  private func json(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
  }
}
