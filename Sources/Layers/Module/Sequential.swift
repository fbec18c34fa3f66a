import Torch

/// A module from one tensor to one tensor.
public protocol Layer: Module {
  func callAsFunction(_ x: Tensor) -> Tensor
}

extension Convolution: Layer {}
extension BatchNorm: Layer {}
extension GroupNorm: Layer {}
extension LayerNorm: Layer {}
extension Linear: Layer {}

/// Layers one after the other, whose keys are their numbers; without any, the tensor itself.
///
/// A property `downsample` of this type has the keys `downsample.0`, `downsample.1`, ...
public final class Sequential: NumberedModule, Layer {
  public let layers: [any Layer]

  public var numbered: [(place: Int, module: any Module)] {
    layers.enumerated().map { ($0, $1) }
  }

  public init(_ layers: [any Layer]) { self.layers = layers }

  public func callAsFunction(_ x: Tensor) -> Tensor { layers.reduce(x) { $1($0) } }
}
