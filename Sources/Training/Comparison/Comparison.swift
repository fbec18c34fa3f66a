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
  /// - Throws: `MingleError` as ``Trainer`` does, and (`interrupted`) when a run was stopped.
  public func run(
    in folder: String,
    _ onEvent: (_ name: String, TrainingEvent) throws -> TrainingAction = { _, _ in .proceed }
  ) throws -> ComparisonResult {
    let rows = try entries.map { entry in
      let path = "\(folder)/\(entry.name)"
      let exists = FileManager.default.fileExists(atPath: "\(path)/config.yaml")
      let trainer = try exists ? Trainer(resuming: path) : Trainer(entry.recipe, in: path)
      guard try trainer.recipe.decidesTheSame(as: Recipe(yaml: entry.recipe.yaml())) else {
        throw MingleError(
          .usage, "the run there has another recipe", in: path,
          next: "name another folder, or remove this run")
      }
      let result = try trainer.run { try onEvent(entry.name, $0) }
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
}
