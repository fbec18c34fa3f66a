import Foundation
import Torch

/// A part of a data set.
public enum DatasetSplit: String, Codable, Sendable, CaseIterable {
  case train, validation, test

  /// The part that a folder or file of this name holds.
  init?(folder name: some StringProtocol) {
    switch name.lowercased() {
    case "train", "training": self = .train
    case "val", "valid", "validation", "dev": self = .validation
    case "test", "testing", "t10k": self = .test
    default: return nil
    }
  }

  /// What stands in for a part that is not there.
  package var alternatives: [DatasetSplit] {
    switch self {
    case .train: [.train]
    case .validation: [.validation, .test]
    case .test: [.test, .validation]
    }
  }
}

/// Opens one part of the data at `path`, whose form is found by looking at it:
///
/// | Path | Form |
/// |---|---|
/// | folder of class folders, also below `train` and `test` or `val` | ``ImageFolder`` |
/// | `.tar` file of such folders, folder with `train.tar` and `test.tar` | ``ImageTar`` |
/// | CIFAR's binary files or their folder | ``CIFARDataset`` |
/// | `...-images-idx3-ubyte` (also `.gz`) or its folder | ``IDXDataset`` |
/// | `.csv` or `.csv.gz` file, folder with `train.csv` and `test.csv` | ``PictureList``, ``PixelTable`` |
///
/// Data without parts of its own are the same for every `split`. `validation` and `test` stand in
/// for each other. Parts that are not for training take the training part's class order.
///
/// - Parameter classNames: The classes in label order, for example a trained model's; data with
///   other classes are refused, and some may be missing.
/// - Throws: `MingleError` (`missingInput`) when there is nothing at `path` or no such part;
///   (`badData`) when the form is unknown or the data are damaged.
public func openDataset(
  at path: String, split: DatasetSplit = .train, classNames: [String]? = nil
) throws -> any ImageDataset {
  let source = try DatasetSource(path)
  guard let parts = source.parts else { return try source.open(nil, classNames) }
  guard let part = split.alternatives.first(where: parts.contains) else {
    throw MingleError(
      .missingInput, "no data for '\(split.rawValue)'", in: path,
      expected: "parts named train and test (or val)",
      got: parts.map(\.rawValue).sorted().joined(separator: ", "))
  }
  var classNames = classNames
  if part != .train && classNames == nil && parts.contains(.train) {
    classNames = try source.open(.train, nil).classNames
  }
  return try source.open(part, classNames)
}

/// The parts that the data at `path` have; nil for data without parts of their own.
///
/// - Throws: `MingleError` as ``openDataset(at:split:classNames:)`` does.
public func datasetParts(at path: String) throws -> Set<DatasetSplit>? {
  try DatasetSource(path).parts
}

/// Opens the data at `path` for training and validation: its own parts (`val`, else `test`), or
/// else a stratified split that holds out `fraction` of each class by `seed`.
///
/// - Throws: `MingleError` as ``openDataset(at:split:classNames:)`` does.
public func openTrainingData(
  at path: String, holdingOut fraction: Double = 0.2, seed: UInt64 = 0, classNames: [String]? = nil
) throws -> (train: any ImageDataset, test: any ImageDataset) {
  let source = try DatasetSource(path)
  guard let parts = source.parts else {
    return try source.open(nil, classNames).split(holdingOut: fraction, seed: seed)
  }
  guard parts.contains(.train) else {
    throw MingleError(
      .missingInput, "no training data", in: path, expected: "a part named train",
      got: parts.map(\.rawValue).sorted().joined(separator: ", "))
  }
  let train = try source.open(.train, classNames)
  guard let part = DatasetSplit.validation.alternatives.first(where: parts.contains) else {
    return try train.split(holdingOut: fraction, seed: seed)
  }
  return (train, try source.open(part, train.classNames))
}

/// The parts of the data at a path, and how to open one.
private struct DatasetSource {
  /// Nil when the data have no parts.
  var parts: Set<DatasetSplit>?
  /// Opens a part (nil: all) with the given class order.
  var open: (DatasetSplit?, [String]?) throws -> any ImageDataset

  /// Data with parts, each at a place of its own.
  init<Place>(
    _ places: [DatasetSplit: Place], in path: String,
    open: @escaping (Place, [String]?) throws -> any ImageDataset
  ) {
    parts = Set(places.keys)
    self.open = { split, classNames in
      guard let place = split.flatMap({ places[$0] }) else {
        throw MingleError(
          .badData, "train and test parts inside one part", in: path,
          expected: "class folders", next: "name the inner data instead")
      }
      return try open(place, classNames)
    }
  }

  /// Data without parts.
  init(open: @escaping ([String]?) throws -> any ImageDataset) {
    self.open = { try open($1) }
  }

  init(_ path: String) throws {
    self = try isFolder(at: path) ? .folder(path) : .file(path)
  }
}

extension DatasetSource {
  private static func file(_ path: String) throws -> DatasetSource {
    let name = URL(filePath: path).lastPathComponent.lowercased()
    if isTar(name) {
      let contents = try TarContents(path)
      guard let folders = try contents.parts() else {
        return DatasetSource { try ImageTar(contents, part: nil, classNames: $0) }
      }
      return DatasetSource(folders, in: path) { try ImageTar(contents, part: $0, classNames: $1) }
    }
    if isCSV(name) { return DatasetSource { try openCSV(path, classNames: $0) } }
    if name.hasSuffix(".bin") {
      return DatasetSource { try CIFARDataset([path], name: path, classNames: $0) }
    }
    if isIDXImages(name) {
      let labels = try labelFile(for: path)
      return DatasetSource { try IDXDataset(images: path, labels: labels, classNames: $0) }
    }
    let isPicture = FileKind(name) == .picture
    let isPackedTar = name.hasSuffix(".tar.gz") || name.hasSuffix(".tgz")
    throw MingleError(
      .badData, isPicture ? "one picture, not a data set" : "an unknown form of data", in: path,
      expected: "a folder, .tar, .csv, CIFAR .bin or IDX file",
      next: isPackedTar ? "run gunzip on it" : nil)
  }

  private static func folder(_ path: String) throws -> DatasetSource {
    let listing = try FolderListing(path)
    if let source = try partFiles(listing, in: path) ?? cifar(listing, in: path)
      ?? partFolders(listing, in: path)
    {
      return source
    }
    if !listing.folders.isEmpty { return DatasetSource { try ImageFolder(path, classNames: $0) } }
    let candidates = listing.files.filter { isTar($0.lowercased()) || isCSV($0.lowercased()) }
    if candidates.count == 1 { return try file(joined(path, candidates[0])) }
    let isPython = listing.files.contains("data_batch_1")
    throw MingleError(
      .badData, "no data found", in: path,
      expected: "class folders of pictures, or .tar, .csv, CIFAR .bin or IDX files",
      got: candidates.isEmpty ? nil : candidates.joined(separator: ", "),
      next: isPython
        ? "download CIFAR's binary version" : candidates.isEmpty ? nil : "name one of the files")
  }

  /// One file for each part: `train.tar`, `test.csv`, `t10k-images-idx3-ubyte.gz`.
  private static func partFiles(_ listing: FolderListing, in path: String) throws -> DatasetSource?
  {
    for isPart in [isTar, isIDXImages, isCSV] {
      var places: [DatasetSplit: String] = [:]
      for file in listing.files where isPart(file.lowercased()) {
        guard let word = file.split(whereSeparator: { "-._".contains($0) }).first,
          let split = DatasetSplit(folder: word)
        else { continue }
        if let other = places.updateValue(joined(path, file), forKey: split) {
          throw MingleError(
            .badData, "two files for '\(split.rawValue)'", in: joined(path, file), got: other,
            next: "keep one of them")
        }
      }
      if !places.isEmpty {
        return DatasetSource(places, in: path) { try file($0).open(nil, $1) }
      }
    }
    return nil
  }

  /// `data_batch_1.bin` ... `test_batch.bin`, or `train.bin` and `test.bin`.
  private static func cifar(_ listing: FolderListing, in path: String) -> DatasetSource? {
    let files = listing.files.filter { $0.hasSuffix(".bin") }
    let places = Dictionary(grouping: files) { $0.hasPrefix("test") ? .test : DatasetSplit.train }
    if places.isEmpty { return nil }
    return DatasetSource(places, in: path) { files, classNames in
      let paths = files.map { joined(path, $0) }
      return try CIFARDataset(paths, name: path, classNames: classNames)
    }
  }

  /// Folders named train and test (or val) that hold class folders.
  ///
  /// - Throws: `MingleError` (`badData`) for other folders beside them.
  private static func partFolders(
    _ listing: FolderListing, in path: String
  ) throws -> DatasetSource? {
    var places: [DatasetSplit: String] = [:]
    for folder in listing.folders {
      if let split = DatasetSplit(folder: folder) { places[split] = joined(path, folder) }
    }
    guard let train = places[.train], try !FolderListing(train).folders.isEmpty else { return nil }
    let stray = listing.folders.first { DatasetSplit(folder: $0) == nil }
    guard try areParts(Set(places.keys), beside: stray.map { joined(path, $0) }) else { return nil }
    return DatasetSource(places, in: path) { try ImageFolder($0, classNames: $1) }
  }
}

/// Whether folders with the names of `splits` are parts, not classes that are called so.
///
/// - Parameter stray: a folder beside them that is no part.
/// - Throws: `MingleError` (`badData`) for a stray folder beside a training and a testing part: as
///   a class it would make the parts classes, too.
func areParts(_ splits: Set<DatasetSplit>, beside stray: String?) throws -> Bool {
  guard splits.contains(.train) else { return false }
  guard let stray else { return true }
  guard splits.count > 1 else { return false }
  throw MingleError(
    .badData, "a folder that is no part beside the data's parts", in: stray,
    expected: "only train, val and test", next: "move it elsewhere")
}

private func joined(_ folder: String, _ name: String) -> String {
  folder.hasSuffix("/") ? folder + name : folder + "/" + name
}

private func isTar(_ name: String) -> Bool { name.hasSuffix(".tar") }

private func isCSV(_ name: String) -> Bool {
  [".csv", ".csv.gz", ".tsv", ".tsv.gz"].contains(where: name.hasSuffix)
}

/// `train-images-idx3-ubyte`, `t10k-images.idx3-ubyte`, with or without `.gz`.
private func isIDXImages(_ name: String) -> Bool {
  name.contains("images") && name.contains("idx3-ubyte")
}

/// The label file beside a file of pictures, packed or not.
private func labelFile(for images: String) throws -> String {
  let url = URL(filePath: images)
  let name = url.lastPathComponent.replacing("images", with: "labels")
    .replacing("idx3", with: "idx1")
  let plain = name.hasSuffix(".gz") ? String(name.dropLast(3)) : name
  for candidate in [name, plain, plain + ".gz"] {
    let path = url.deletingLastPathComponent().appending(path: candidate).path(
      percentEncoded: false)
    if FileManager.default.fileExists(atPath: path) { return path }
  }
  throw MingleError(
    .missingInput, "no label file beside the pictures", in: images, expected: name)
}
