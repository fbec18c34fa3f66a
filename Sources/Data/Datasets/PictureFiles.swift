import Foundation
import Synchronization
import Torch

/// The pictures at `path`: the file itself, or all files below the folder that are named like
/// pictures, sorted, also those in formats that Mingle does not read.
///
/// - Throws: `MingleError` (`missingInput`) when there is nothing; (`badData`) for a folder without
///   pictures, or folders nested more than 16 deep.
public func pictureFiles(at path: String) throws -> [String] {
  guard try isFolder(at: path) else { return [path] }
  let files = try namedLikePictures(below: path, depth: 0)
  guard !files.isEmpty else { throw noSamples(in: path, expected: ".jpg or .png files") }
  return files
}

private func namedLikePictures(below path: String, depth: Int) throws -> [String] {
  guard depth < 16 else {
    throw MingleError(
      .badData, "folders nested too deep", in: path, expected: "at most 16 levels",
      next: "look for a link to a folder above")
  }
  let listing = try FolderListing(path)
  return try listing.files.filter { FileKind($0) != .other }.map { path + "/" + $0 }
    + listing.folders.flatMap { try namedLikePictures(below: path + "/" + $0, depth: depth + 1) }
}

/// Decodes pictures on all cores, in the order of `paths`; a file that cannot be read gives its error.
public func decodePictures(_ paths: [String]) -> [Result<Image, MingleError>] {
  concurrentMap(paths.count) { index in
    Result { () throws(MingleError) in
      do {
        return try Image(contentsOf: paths[index])
      } catch let error as MingleError {
        throw error
      } catch {
        throw MingleError(.badData, "the picture cannot be read (\(error))", in: paths[index])
      }
    }
  }
}

/// `transform` of 0 ..< `count`, computed on all cores.
func concurrentMap<Value: Sendable>(
  _ count: Int, _ transform: @Sendable (Int) -> Value
) -> [Value] {
  let results = Mutex([Value?](repeating: nil, count: count))
  DispatchQueue.concurrentPerform(iterations: count) { index in
    let value = transform(index)
    results.withLock { $0[index] = value }
  }
  return results.withLock { $0 }.compactMap { $0 }
}
