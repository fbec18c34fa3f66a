import Synchronization

/// Decoded pictures of a data set, as many as fit a number of bytes.
final class ImageCache: Sendable {
  private struct Contents {
    var images: [Image?]
    var bytes = 0
  }

  private let contents: Mutex<Contents>
  private let limit: Int

  init(count: Int, limit: Int) {
    contents = Mutex(Contents(images: Array(repeating: nil, count: count)))
    self.limit = limit
  }

  func image(at index: Int) -> Image? {
    contents.withLock { $0.images[index] }
  }

  func keep(_ image: Image, at index: Int) {
    contents.withLock {
      if $0.images[index] == nil && $0.bytes + image.pixels.count <= limit {
        $0.images[index] = image
        $0.bytes += image.pixels.count
      }
    }
  }
}
