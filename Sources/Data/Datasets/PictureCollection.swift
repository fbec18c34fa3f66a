import Torch

/// Pictures without classes; every label is 0.
public struct PictureCollection: ImageDataset {
  public let name: String
  public let classNames = ["picture"]
  private let files: [String]

  /// One picture, or a folder that holds pictures itself; nil for anything else.
  ///
  /// - Throws: ``MingleError`` (`missingInput`) when there is nothing at `path`.
  public init?(at path: String) throws {
    let files = try pictureFiles(at: path)
    let isFile = files == [path]
    guard isFile ? FileKind(path) == .picture : files.contains(where: { isDirectly($0, in: path) })
    else { return nil }
    name = path
    self.files = files
  }

  public var count: Int { files.count }
  public func label(at index: Int) -> Int { 0 }
  public func sampleName(at index: Int) -> String { files[index] }
  public func image(at index: Int) throws -> Image { try Image(contentsOf: files[index]) }
}

private func isDirectly(_ file: String, in folder: String) -> Bool {
  !file.dropFirst(folder.count + 1).contains("/")
}
