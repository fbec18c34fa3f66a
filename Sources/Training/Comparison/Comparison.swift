import Foundation
import Models
import Torch

/// Several networks on the same data with the same budget.
///
/// ```swift
/// let comparison = try Comparison(contentsOf: "compare.yaml")
/// let result = try comparison.run(in: "runs/compare") { name, event in .proceed }
/// print(result.markdown)
/// ```
public struct Comparison: Sendable {
  public struct Entry: Sendable {
    /// The run's name, and its folder's.
    public let name: String
    public var recipe: Recipe
  }

  public let title: String
  public var entries: [Entry]

  /// Trains every network in a folder of its own below `folder`, and writes `table.md`, `table.json`
  /// and `report.html` beside them. What is done already is not repeated, and a run that was stopped or
  /// killed goes on.
  ///
  /// - Parameter onEvent: told what happens in which run; may stop it, which ends the comparison.
  /// - Throws: `MingleError` as ``Trainer`` does, with the run's name (for a recipe that cannot be,
  ///   before any network is trained), and (`interrupted`) when a run was stopped.
  @discardableResult
  public func run(
    in folder: String,
    _ onEvent: (_ name: String, TrainingEvent) throws -> TrainingAction = { _, _ in .proceed }
  ) throws -> ComparisonResult {
    try check(in: folder)
    let threads = Engine.threadCount
    let rows = try entries.map { entry in
      let (trainer, result) = try naming(entry) {
        Engine.threadCount = threads  // a run that goes on brings the number it had
        let trainer = try opened(entry, in: folder)
        return (trainer, try trainer.run { try onEvent(entry.name, $0) })
      }
      guard !result.wasStopped, let best = result.best else {
        throw MingleError(
          .interrupted, "the comparison was stopped in '\(entry.name)'", in: folder,
          next: "the same command goes on with it")
      }
      return ComparisonResult.Row(entry, trainer, best, seconds: result.seconds)
    }
    let result = ComparisonResult(title: title, rows: rows)
    try result.write(to: folder)
    return result
  }

  /// Builds every network that is still to be begun: a mistake in the last should not be found after
  /// the others have been trained.
  private func check(in folder: String) throws {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), !isFolder.boolValue {
      throw MingleError(
        .usage, "a file is where the comparison's folder should be", in: folder,
        next: "name another one")
    }
    let task = entries.first?.recipe.task
    for entry in entries where !isBegun(entry, in: folder) {
      try naming(entry) {
        guard entry.recipe.task == task else {
          throw MingleError(
            .usage, "the runs learn different things", expected: task?.rawValue,
            got: entry.recipe.task.rawValue, next: "name one 'task' for all")
        }
        guard !entry.recipe.model.isEmpty else {
          throw MingleError(
            .usage, "no model is named", next: "write 'model:', with one of 'mingle models'")
        }
        _ = try Trainer(entry.recipe, in: nil)
      }
    }
  }

  private func isBegun(_ entry: Entry, in folder: String) -> Bool {
    FileManager.default.fileExists(atPath: "\(folder)/\(entry.name)/config.yaml")
  }

  /// A new run, or the one that was begun.
  private func opened(_ entry: Entry, in folder: String) throws -> Trainer {
    let path = "\(folder)/\(entry.name)"
    guard isBegun(entry, in: folder) else { return try Trainer(entry.recipe, in: path) }
    let trainer = try Trainer(resuming: path)
    guard try trainer.recipe.decidesTheSame(as: Recipe(yaml: entry.recipe.yaml())) else {
      throw MingleError(
        .usage, "the run there has another recipe", in: path,
        next: "name another folder, or remove this run")
    }
    return trainer
  }
}

/// What `body` gives; its errors tell the run's name.
private func naming<Result>(
  _ entry: Comparison.Entry, _ body: () throws -> Result
) throws -> Result {
  do {
    return try body()
  } catch let error as MingleError {
    throw MingleError(
      error.kind, error.what, in: "run '\(entry.name)'" + (error.place.map { ", \($0)" } ?? ""),
      expected: error.expected, got: error.got, next: error.next)
  }
}
