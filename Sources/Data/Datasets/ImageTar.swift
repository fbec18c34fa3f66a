import Checkpoints
import Torch

/// A tar file of class folders of pictures, read in place: `train.tar` with `cat/0001.jpg`.
///
/// Leading folders that all pictures share are passed over; if the next folders are named `train`,
/// `test`, `val`, they are the parts. Then the first folder is the class, as in ``ImageFolder``.
public struct ImageTar: ImageDataset {
  public let name: String
  public let classNames: [String]
  private let labels: [Int]
  private let members: [TarMember]
  private let file: MappedFile

  /// - Throws: `MingleError` (`badData`) for a damaged or compressed tar file, no pictures, and
  ///   a picture in a format that Mingle does not read.
  public init(_ path: String, classNames: [String]? = nil) throws {
    let contents = try TarContents(path)
    try self.init(contents, part: nil, classNames: classNames)
  }

  init(_ contents: TarContents, part: String?, classNames: [String]?) throws {
    let members = contents.pictures.filter { part == nil || $0.folders.first == part }
    let place = contents.file.path
    let depth = contents.common + (part == nil ? 0 : 1)
    let labels = try Labels(
      members.map { picture in
        let folders = picture.folders.dropFirst(part == nil ? 0 : 1)
        if let name = folders.first { return name }
        throw MingleError(
          .badData, "a picture outside a class folder", in: "\(place):\(picture.member.path)",
          expected: "CLASS/PICTURE below \(depth) common folders")
      }, known: classNames, in: place)
    guard !members.isEmpty else {
      throw noSamples(in: place, expected: "class folders with JPEG or PNG pictures")
    }
    name = place
    self.classNames = labels.classNames
    self.labels = labels.indices
    self.members = members.map(\.member)
    file = contents.file
  }

  public var count: Int { members.count }
  public func label(at index: Int) -> Int { labels[index] }
  public func sampleName(at index: Int) -> String { "\(name):\(members[index].path)" }

  public func image(at index: Int) throws -> Image {
    try Image(decoding: picture(at: index))
  }

  public func encodedPicture(at index: Int) throws -> EncodedPicture? { picture(at: index) }

  private func picture(at index: Int) -> EncodedPicture {
    EncodedPicture(file, range: members[index].bytes, named: sampleName(at: index))
  }
}

/// The pictures of a tar file by their folders.
struct TarContents {
  struct Picture {
    var member: TarMember
    /// Without the folders that all pictures share, without the file's own name.
    var folders: ArraySlice<String>
  }

  let file: MappedFile
  let pictures: [Picture]
  /// How many leading folders all pictures share.
  let common: Int

  init(_ path: String) throws {
    file = try MappedFile(path)
    guard !file.withUnsafeBytes(isGzip) else {
      throw MingleError(
        .badData, "a compressed tar file", in: path,
        expected: "a plain one, which is read in place",
        next: "run gunzip on it")
    }
    var pictures: [Picture] = []
    for member in try tarMembers(of: file) {
      let parts = member.path.split(separator: "/").map(String.init).filter { $0 != "." }
      guard !parts.contains(where: isHidden) else { continue }
      switch FileKind(member.path) {
      case .picture: pictures.append(Picture(member: member, folders: parts.dropLast()))
      case .foreignPicture: throw FileKind.foreign("\(path):\(member.path)")
      case .other: break
      }
    }
    guard let first = pictures.first else {
      throw noSamples(in: path, expected: "class folders with JPEG or PNG pictures")
    }
    // A folder that all share is the set's, as long as each picture keeps one for its class.
    var common = 0
    while let shared = first.folders.dropFirst(common).first,
      pictures.allSatisfy({
        $0.folders.count > common + 1 && $0.folders[$0.folders.startIndex + common] == shared
      })
    { common += 1 }
    self.common = common
    self.pictures = pictures.map {
      Picture(member: $0.member, folders: $0.folders.dropFirst(common))
    }
  }

  /// The first folders when these are parts (`train`, `test`), not classes.
  ///
  /// - Throws: `MingleError` (`badData`) for other folders beside them.
  func parts() throws -> [DatasetSplit: String]? {
    var parts: [DatasetSplit: String] = [:]
    var stray: String?
    for name in Set(pictures.compactMap(\.folders.first)).inClassOrder() {
      if let split = DatasetSplit(folder: name) { parts[split] = name } else { stray = name }
    }
    let holdClasses = pictures.allSatisfy { picture in
      picture.folders.count > 1 || !parts.values.contains { $0 == picture.folders.first }
    }
    let place = stray.map { "\(file.path):\($0)" }
    return try holdClasses && areParts(Set(parts.keys), beside: place) ? parts : nil
  }
}
