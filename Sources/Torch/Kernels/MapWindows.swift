import CTorch

/// For each channel of maps in the CPU's float32 memory what windows say that move over it: a depthwise
/// convolution and an activation, or the largest number.
package struct MapWindows: MapKernel {
  /// What is made of the numbers in a window.
  package enum Content: Sendable {
    /// The sum of their products with a weight [C, 1, kH, kW], plus a bias [C].
    case sum(weight: Tensor, bias: Tensor?)
    case maximum
  }

  private let content: Content
  private let window: (height: Int, width: Int)
  private let stride: Int
  private let padding: (top: Int, left: Int)
  private let activation: KernelActivation

  /// - Parameters:
  ///   - window: lines and columns.
  ///   - padding: how many lines above and columns left of the map the first window begins.
  package init(
    _ content: Content, window: (height: Int, width: Int), stride: Int,
    padding: (top: Int, left: Int), activation: KernelActivation = .identity
  ) {
    if case .sum(let weight, let bias) = content {
      precondition(
        weight.shape == [weight.shape[0], 1, window.height, window.width]
          && bias.map { $0.shape == [weight.shape[0]] } ?? true)
      self.content = .sum(
        weight: weight.to(.float32).contiguous(), bias: bias?.to(.float32).contiguous())
    } else {
      self.content = content
    }
    (self.window, self.stride, self.padding) = (window, stride, padding)
    self.activation = activation
  }

  /// - Parameters:
  ///   - x: [B, C, H, W], as ``ColumnMix/accepts(_:)`` has it.
  ///   - y: [B, C, h, w], for the results of so many windows, without gaps; not x.
  package func callAsFunction(_ x: Tensor, into y: Tensor) {
    precondition(x.rank == 4 && y.rank == 4 && x.shape[..<2] == y.shape[..<2] && y.isContiguous)
    guard let (mapStride, channelStride) = ColumnMix.layout(of: x) else {
      Engine.fail("windows of memory without even rows: \(x)")
    }
    var windows = CTMapWindows()
    (windows.maps, windows.channels) = (Int64(x.shape[0]), Int64(x.shape[1]))
    (windows.height, windows.width) = (Int64(x.shape[2]), Int64(x.shape[3]))
    windows.x = x.floats
    (windows.xMapStride, windows.xStride) = (Int64(mapStride), Int64(channelStride))
    (windows.windowHeight, windows.windowWidth) = (Int64(window.height), Int64(window.width))
    windows.stride = Int64(stride)
    (windows.top, windows.left) = (Int64(padding.top), Int64(padding.left))
    if case .sum(let weight, let bias) = content {
      precondition(weight.shape[0] == x.shape[1])
      (windows.weight, windows.bias) = (weight.floats, bias?.floats)
    }
    windows.activation = activation.code
    (windows.rows, windows.columns) = (Int64(y.shape[2]), Int64(y.shape[3]))
    windows.y = y.mutableFloats
    let status = withExtendedLifetime((x, y)) { ct_window_maps(&windows) }
    Engine.check(status, "windows of \(x)")
  }
}
