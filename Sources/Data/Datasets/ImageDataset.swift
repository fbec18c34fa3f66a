import Torch

/// Pictures with one class each, read one by one from any thread.
public protocol ImageDataset: Sendable {
  /// The file or folder it comes from, for messages.
  var name: String { get }
  /// Names in label order.
  var classNames: [String] { get }
  var count: Int { get }
  /// Whether pictures lie decoded in memory, so that keeping a copy of them is of no use.
  var isDecoded: Bool { get }

  /// The class of a sample, in 0 ..< `classNames.count`.
  func label(at index: Int) -> Int
  /// What to call the sample in messages: its file, or its place in a file.
  func sampleName(at index: Int) -> String
  /// - Throws: `MingleError` that names the file and the reason.
  func image(at index: Int) throws -> Image
  /// The picture's file, of which a loader may decode a part only; nil when pictures are stored in
  /// another way.
  ///
  /// - Throws: `MingleError` that names the file and the reason.
  func encodedPicture(at index: Int) throws -> EncodedPicture?
}

extension ImageDataset {
  public var classCount: Int { classNames.count }
  public var isDecoded: Bool { false }
  public func encodedPicture(at index: Int) throws -> EncodedPicture? { nil }

  /// How many samples each class has, in label order.
  public var classSizes: [Int] {
    (0..<count).reduce(into: Array(repeating: 0, count: classCount)) { $0[label(at: $1)] += 1 }
  }
}

/// Some samples of another set, in ascending order.
public struct DatasetSubset: ImageDataset {
  public let base: any ImageDataset
  public let indices: [Int]

  public init(_ base: any ImageDataset, indices: [Int]) {
    precondition(indices.allSatisfy((0..<base.count).contains), "an index outside \(base.name)")
    self.base = base
    self.indices = indices.sorted()
  }

  public var name: String { base.name }
  public var classNames: [String] { base.classNames }
  public var count: Int { indices.count }
  public var isDecoded: Bool { base.isDecoded }
  public func label(at index: Int) -> Int { base.label(at: indices[index]) }
  public func sampleName(at index: Int) -> String { base.sampleName(at: indices[index]) }
  public func image(at index: Int) throws -> Image { try base.image(at: indices[index]) }
  public func encodedPicture(at index: Int) throws -> EncodedPicture? {
    try base.encodedPicture(at: indices[index])
  }
}

extension ImageDataset {
  /// Two parts in which every class has the same share: the second holds `fraction` of each class,
  /// rounded, but leaves at least one sample to the first and, where a class has two, takes one.
  /// The same seed gives the same parts.
  ///
  /// - Throws: `MingleError` (`usage`) unless `fraction` is between 0 and 1; (`badData`) when the
  ///   second part would be empty.
  public func split(
    holdingOut fraction: Double, seed: UInt64
  ) throws -> (train: DatasetSubset, test: DatasetSubset) {
    let (train, test) = try stratified(
      (0..<count).map(label), classCount: classCount, holdingOut: fraction, seed: seed, in: name)
    return (DatasetSubset(self, indices: train), DatasetSubset(self, indices: test))
  }
}

/// The places of `labels` in two parts; see ``ImageDataset/split(holdingOut:seed:)``.
func stratified(
  _ labels: [Int], classCount: Int, holdingOut fraction: Double, seed: UInt64, in name: String
) throws -> (train: [Int], test: [Int]) {
  guard fraction > 0, fraction < 1 else {
    throw MingleError(
      .usage, "a share that cannot be held out", in: name, expected: "above 0 and below 1",
      got: "\(fraction)")
  }
  var members = [[Int]](repeating: [], count: classCount)
  for (index, label) in labels.enumerated() { members[label].append(index) }
  var train: [Int] = []
  var test: [Int] = []
  for (label, indices) in members.enumerated() {
    var random = RandomNumbers(seed: seed, .split, position: label)
    let wanted = Int((Double(indices.count) * fraction).rounded())
    let held = max(min(1, indices.count - 1), min(wanted, indices.count - 1))
    for (place, member) in random.permutation(indices.count).enumerated() {
      if place < held { test.append(indices[member]) } else { train.append(indices[member]) }
    }
  }
  guard !test.isEmpty else {
    throw MingleError(
      .badData, "too few samples to hold some out", in: name,
      expected: "at least two of a class", got: "\(labels.count) samples of \(classCount) classes")
  }
  return (train.sorted(), test.sorted())
}
