// Where the windows of a map lie, and the constants of attention inside them.

import Synchronization
import Torch

/// How a map is cut into windows.
struct SwinWindows: Hashable, Sendable {
  /// Height and width of a window in tokens.
  let size: ImageSize
  /// How far the map moves up and left, in circles, before it is cut.
  let shift: ImageSize

  /// Windows of at most `size`, shifted by half of it where `shifted`. A window that is not smaller
  /// than the map along one side is as long as the map there and is not shifted, unless `always`.
  init(_ size: ImageSize, on map: ImageSize, shifted: Bool, always: Bool) {
    func side(_ window: Int, _ length: Int) -> (Int, Int) {
      let isWhole = length <= window && !always
      return (isWhole ? length : window, isWhole || !shifted ? 0 : window / 2)
    }
    let (height, width) = (side(size.height, map.height), side(size.width, map.width))
    self.size = ImageSize(height.0, width.0)
    shift = ImageSize(height.1, width.1)
  }

  var isShifted: Bool { shift != ImageSize(0, 0) }

  /// Zeros below and to the right of `map` until windows tile it.
  func padded(_ map: ImageSize) -> ImageSize {
    func tiled(_ length: Int, _ window: Int) -> Int { (length + window - 1) / window * window }
    return ImageSize(tiled(map.height, size.height), tiled(map.width, size.width))
  }

  /// [B, H, W, C] -> [B, windows, N, C] with the N tokens of a window in row-major order.
  func cut(_ x: Tensor) -> Tensor {
    let s = x.shape
    return x.reshaped([s[0], s[1] / size.height, size.height, s[2] / size.width, size.width, s[3]])
      .permuted([0, 1, 3, 2, 4, 5]).reshaped([s[0], -1, size.area, s[3]])
  }

  /// [B, windows, N, C] -> [B, H, W, C], the way back to a map.
  func joined(_ x: Tensor, to map: ImageSize) -> Tensor {
    let s = x.shape
    let (rows, columns) = (map.height / size.height, map.width / size.width)
    return x.reshaped([s[0], rows, columns, size.height, size.width, s[3]])
      .permuted([0, 1, 3, 2, 4, 5]).reshaped([s[0], map.height, map.width, s[3]])
  }

  /// For each pair of a window's tokens the row of the table of biases [N N]: one row for each
  /// distance, in row-major order of (vertical, horizontal).
  var relativePositions: [Int] {
    let (height, width) = (size.height, size.width)
    return (0..<height * width).flatMap { a in
      (0..<height * width).map { b in
        let vertical = a / width - b / width + height - 1
        return vertical * (2 * width - 1) + a % width - b % width + width - 1
      }
    }
  }

  /// The part of the unshifted map that each token of the shifted `map` comes from [H W]: tokens of
  /// one window that are of several parts were no neighbours.
  func parts(of map: ImageSize) -> [Int] {
    func parts(_ length: Int, _ window: Int, _ shift: Int) -> [Int] {
      (0..<length).map { $0 < length - window ? 0 : $0 < length - shift ? 1 : 2 }
    }
    let columns = parts(map.width, size.width, shift.width)
    return parts(map.height, size.height, shift.height).flatMap { row in
      columns.map { 3 * row + $0 }
    }
  }
}

/// The constants of windows, made once for each size and device. Nothing writes to these tensors, so
/// that threads may share them.
final class SwinConstants: Sendable {
  private enum Key: Hashable {
    case positions(ImageSize, Device)
    case mask(SwinWindows, ImageSize, Device, DType)
  }

  /// Enough for all stages of a few image sizes.
  private static let capacity = 32
  private let tensors = Mutex<[Key: Tensor]>([:])

  /// The rows of the table of biases [N N] (int64).
  func positions(_ windows: SwinWindows, on device: Device) -> Tensor {
    tensor(.positions(windows.size, device)) { Tensor(windows.relativePositions).to(device) }
  }

  /// What is added to the scores of a shifted `map`'s windows [windows, 1, N, N]: -100 for tokens that
  /// were no neighbours, else 0.
  func mask(_ windows: SwinWindows, on map: ImageSize, like x: Tensor) -> Tensor {
    tensor(.mask(windows, map, x.device, x.dtype)) {
      let parts = Tensor(windows.parts(of: map), shape: [1, map.height, map.width, 1])
      let cut = windows.cut(parts).reshaped([-1, 1, windows.size.area])  // [windows, 1, N]
      let same = cut.unsqueezed(2).equal(cut.unsqueezed(3))
      return ((same.to(.float32) - 1) * 100).to(x.dtype).to(x.device)
    }
  }

  private func tensor(_ key: Key, _ make: () -> Tensor) -> Tensor {
    tensors.withLock { tensors in
      if let known = tensors[key] { return known }
      if tensors.count >= Self.capacity { tensors.removeAll() }
      let made = withoutGradients(make)
      tensors[key] = made
      return made
    }
  }
}
