// The axial shift of AS-MLP (arXiv 2107.08391): as many passes over memory as it takes to write the
// result once, forwards and backwards. B batch, C channels, H, W the map's sides.

import Torch

extension PaddingMode {
  /// The position in a row of `length` that is shown at `position`, which lies outside; nil is 0.
  func source(of position: Int, length: Int) -> Int? {
    switch self {
    case .zero: nil
    case .circular: (position % length + length) % length
    case .reflect: position < 0 ? -position : 2 * (length - 1) - position
    case .replicate: min(max(position, 0), length - 1)
    }
  }
}

/// Moves groups of channels along one axis of a map, each by another distance.
///
/// The channels fall into groups of `ceil(C / size)`, the last of which may be smaller; group `k`
/// moves by `o = (k - size / 2) dilation`: `y[p] = x[p - o]`.
package struct ChannelShift: Sendable, Hashable {
  /// 2 along the height, 3 along the width.
  package let axis: Int
  /// How many groups there are at most; odd.
  let size: Int
  let dilation: Int
  package let padding: PaddingMode

  package init(axis: Int, size: Int, dilation: Int = 1, padding: PaddingMode = .zero) {
    self.axis = axis
    self.size = size
    self.dilation = dilation
    self.padding = padding
  }

  /// [B, C, H, W] -> [B, C, H, W]
  package func callAsFunction(_ x: Tensor) -> Tensor {
    if size == 1 { return x }
    let length = x.shape[axis]
    precondition(
      padding != .reflect || largestOffset < length,
      "a map of \(x.shape) cannot be reflected over \(largestOffset) positions")
    return customFunction([x], tag: self) { inputs in
      ([moved(inputs[0], direction: 1, padding)], { [$0[0].map(adjoint)] })
    }[0]
  }

  var largestOffset: Int { size / 2 * dilation }

  /// The channels of each group, and how far they move.
  package func groups(of channels: Int) -> [(channels: Range<Int>, offset: Int)] {
    let width = (channels + size - 1) / size
    return stride(from: 0, to: channels, by: width).enumerated().map { index, first in
      (first..<min(first + width, channels), (index - size / 2) * dilation)
    }
  }

  /// The gradient of the input: the opposite shift, plus what the padding took from the input.
  private func adjoint(_ gradient: Tensor) -> Tensor {
    let result = moved(gradient, direction: -1, padding == .circular ? .circular : .zero)
    guard padding == .reflect || padding == .replicate else { return result }
    let length = gradient.shape[axis]
    for (channels, offset) in groups(of: gradient.shape[1]) {
      let (from, to) = (gradient.narrowed(1, channels), result.narrowed(1, channels))
      for position in uncovered(by: offset, length) {
        guard let source = padding.source(of: position - offset, length: length) else { continue }
        to.narrowed(axis, source..<source + 1)
          .addInPlace(from.narrowed(axis, position..<position + 1))
      }
    }
    return result
  }

  private func moved(_ x: Tensor, direction: Int, _ padding: PaddingMode) -> Tensor {
    let (x, length) = (x.contiguous(), x.shape[axis])
    let y = Tensor.empty(x.shape, dtype: x.dtype, device: x.device)
    for (channels, distance) in groups(of: x.shape[1]) {
      let offset = direction * distance
      let (from, to) = (x.narrowed(1, channels), y.narrowed(1, channels))
      if abs(offset) < length { copyRun(from, to, offset) }
      for position in uncovered(by: offset, length) {
        let target = to.narrowed(axis, position..<position + 1)
        if let source = padding.source(of: position - offset, length: length) {
          target.copyInPlace(from.narrowed(axis, source..<source + 1))
        } else {
          target.zeroInPlace()
        }
      }
    }
    return y
  }

  /// Copies a group's memory, which has no gaps within a sample, in one run. What so gets from one
  /// row's end to the next row's start lies in positions that are not covered, and is overwritten.
  private func copyRun(_ from: Tensor, _ to: Tensor, _ offset: Int) {
    let step = offset * (axis == 2 ? from.shape[3] : 1)
    let (from, to) = (from.flattened(from: 1), to.flattened(from: 1))  // [B, c H W]
    let count = from.shape[1]
    to.narrowed(1, max(0, step)..<count + min(0, step))
      .copyInPlace(from.narrowed(1, max(0, -step)..<count - max(0, step)))
  }

  /// The positions of a row of `length` that a move by `offset` leaves without a value.
  private func uncovered(by offset: Int, _ length: Int) -> Range<Int> {
    offset >= 0 ? 0..<min(offset, length) : max(0, length + offset)..<length
  }
}
