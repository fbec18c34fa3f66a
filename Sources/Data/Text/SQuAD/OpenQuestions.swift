import Foundation
import Torch

/// Opens the questions at `path`: a file of SQuAD's form, the same for every `split`, or a folder with
/// files that are found by the words in their names, such as `train-v1.1.json` and `dev-v1.1.json`.
///
/// - Parameter holdOut: the share that was held out, and the seed, when a model was trained on these
///   data: where they have no parts for validation or test, these questions are opened in their place.
/// - Throws: `MingleError` (`missingInput`) when there is nothing at `path` or no such part; (`badData`)
///   as ``SQuAD/init(_:)`` does.
public func openQuestions(
  at path: String, split: DatasetSplit, holdOut: (share: Double, seed: UInt64)? = nil
) throws -> SQuAD {
  let parts = try questionFiles(at: path)
  if let holdOut, parts.map({ Array($0.keys) == [.train] }) ?? true {
    let (train, held) = try openTrainingQuestions(
      at: path, holdingOut: holdOut.share, seed: holdOut.seed)
    return split == .train ? train : held
  }
  guard let parts else { return try SQuAD(path) }
  guard let file = split.alternatives.lazy.compactMap({ parts[$0] }).first else {
    throw MingleError(
      .missingInput, "no questions for '\(split.rawValue)'", in: path,
      expected: "files named train and dev",
      got: parts.keys.map(\.rawValue).sorted().joined(separator: ", "))
  }
  return try SQuAD(file)
}

/// Opens the questions at `path` for training and validation: their own files, or else a split by
/// `seed` that holds out `fraction` of the texts with all their questions.
///
/// - Throws: `MingleError` as ``openQuestions(at:split:)`` does; (`badData`) for a single text.
public func openTrainingQuestions(
  at path: String, holdingOut fraction: Double = 0.1, seed: UInt64 = 0
) throws -> (train: SQuAD, validation: SQuAD) {
  let parts = try questionFiles(at: path)
  if let parts {
    guard let train = parts[.train] else {
      throw MingleError(
        .missingInput, "no questions for training", in: path, expected: "a file named train",
        got: parts.keys.map(\.rawValue).sorted().joined(separator: ", "))
    }
    if let dev = DatasetSplit.validation.alternatives.lazy.compactMap({ parts[$0] }).first {
      return (try SQuAD(train), try SQuAD(dev))
    }
  }
  let all = try SQuAD(parts?[.train] ?? path)
  guard all.contexts.count > 1 else {
    throw MingleError(
      .badData, "a single text cannot be held out", in: all.name,
      expected: "two texts with questions, or a file named dev", got: "1")
  }
  let (kept, held) = try stratified(
    [Int](repeating: 0, count: all.contexts.count), classCount: 1, holdingOut: fraction,
    seed: seed, in: all.name)
  return (all.subset(contexts: kept), all.subset(contexts: held))
}

/// The files of a folder by their parts; nil for a single file.
private func questionFiles(at path: String) throws -> [DatasetSplit: String]? {
  guard try isFolder(at: path) else { return nil }
  var parts: [DatasetSplit: String] = [:]
  for file in try FolderListing(path).files.inByteOrder()
  where file.hasSuffix(".json") || file.hasSuffix(".json.gz") {
    let words = file.split { "-._ ".contains($0) }
    guard let split = words.lazy.compactMap({ DatasetSplit(folder: $0) }).first else { continue }
    if let other = parts.updateValue("\(path)/\(file)", forKey: split) {
      throw MingleError(
        .badData, "two files for '\(split.rawValue)'", in: "\(path)/\(file)", got: other,
        next: "keep one of them, or name a file")
    }
  }
  guard !parts.isEmpty else {
    throw MingleError(
      .badData, "no questions found", in: path,
      expected: "files such as train-v1.1.json and dev-v1.1.json", next: "name the file itself")
  }
  return parts
}
