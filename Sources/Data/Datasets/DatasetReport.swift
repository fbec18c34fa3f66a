import Models
import Torch

/// What a data set holds, after every picture was decoded once.
public struct DatasetReport: Encodable, Sendable {
  public struct Class: Encodable, Sendable {
    public let name: String
    public let samples: Int
  }

  public struct Broken: Encodable, Sendable {
    public let sample: String
    public let reason: String
  }

  public let samples: Int
  /// In label order.
  public let classes: [Class]
  /// The least and the largest height and width among the readable pictures, in pixels; nil if there
  /// are none.
  public let smallestSize: ImageSize?
  public let largestSize: ImageSize?
  /// How many readable pictures are gray, and how many in colour.
  public let gray: Int
  public let colour: Int
  /// Pictures that cannot be read, in the data set's order.
  public let broken: [Broken]

  /// Decodes every picture of `dataset`, on all cores.
  ///
  /// - Parameter onProgress: told how many pictures are done.
  public init(_ dataset: any ImageDataset, onProgress: (Int) -> Void = { _ in }) {
    var looks: [Look] = []
    let chunk = 256
    for start in stride(from: 0, to: dataset.count, by: chunk) {
      looks += concurrentMap(min(chunk, dataset.count - start)) { Look(dataset, start + $0) }
      onProgress(looks.count)
    }
    samples = dataset.count
    classes = zip(dataset.classNames, dataset.classSizes).map { Class(name: $0, samples: $1) }
    let readable = looks.compactMap(\.size)
    let (heights, widths) = (readable.map(\.height), readable.map(\.width))
    smallestSize = heights.min().flatMap { height in widths.min().map { ImageSize(height, $0) } }
    largestSize = heights.max().flatMap { height in widths.max().map { ImageSize(height, $0) } }
    gray = looks.count { $0.channels == 1 }
    colour = looks.count { $0.channels == 3 }
    broken = looks.enumerated().compactMap { index, look in
      look.problem.map { Broken(sample: dataset.sampleName(at: index), reason: $0) }
    }
  }
}

/// What decoding one picture showed.
private struct Look: Sendable {
  var size: ImageSize?
  var channels = 0
  var problem: String?

  init(_ dataset: any ImageDataset, _ index: Int) {
    do {
      let image = try dataset.image(at: index)
      size = ImageSize(image.height, image.width)
      channels = image.channels
    } catch let error as MingleError {
      problem = error.what
    } catch {
      problem = "\(error)"
    }
  }
}
