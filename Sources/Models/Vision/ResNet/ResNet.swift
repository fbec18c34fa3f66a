// Deep Residual Learning for Image Recognition.
// He, Zhang, Ren, Sun, 2015, arXiv 1512.03385.
// Reference, names and layout: timm, resnet.py.
//
// B batch, C channels, H, W rows and columns of the map.
//
// Deviations from the paper, as in timm: a bottleneck's stride is in its convolution of size 3
// (paper: in the first of size 1), maps that change their size or channels are projected (the
// paper's option B), and stochastic depth. Weights start as there: normal with variance
// 2 / fan-out, PyTorch's default for the classifier, and 0 for the gain of a branch's last norm, so
// that every block starts as the identity (Goyal et al. 2017, arXiv 1706.02677).
//
// Published: top-1 75.3 and 77.0 % for 50 and 152 layers, the authors' weights with a single crop;
// the papers that compare with them also quote 76.3 and 78.3.

import Layers
import Torch

/// A convolution without bias that keeps the size of a map, or divides it by `stride`.
private func convolution(
  _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, _ generator: Generator?
) -> Convolution {
  Convolution(
    inputs, outputs, kernel: kernel, stride: stride, padding: kernel / 2, weight: .heNormalFanOut,
    bias: nil, generator: generator)
}

/// A residual branch of two or three convolutions, each with a batch norm, and ReLU after all but
/// the last; then ReLU of its sum with the (projected) input.
public final class ResNetBlock: Layer {
  let conv1: Convolution, bn1: BatchNorm, conv2: Convolution, bn2: BatchNorm
  let conv3: Convolution?, bn3: BatchNorm?  // in a bottleneck
  let downsample: Sequential?
  let dropPath: DropPath

  init(
    _ block: ResNetConfiguration.Block, inputs: Int, dim: Int, stride: Int, dropPath: Double,
    generator: Generator?
  ) {
    let outputs = dim * block.expansion
    switch block {
    case .basic:
      conv1 = convolution(inputs, dim, kernel: 3, stride: stride, generator)
      bn1 = BatchNorm(dim)
      conv2 = convolution(dim, dim, kernel: 3, generator)
      bn2 = BatchNorm(dim, gain: 0)
      (conv3, bn3) = (nil, nil)
    case .bottleneck:
      conv1 = convolution(inputs, dim, kernel: 1, generator)
      bn1 = BatchNorm(dim)
      conv2 = convolution(dim, dim, kernel: 3, stride: stride, generator)
      bn2 = BatchNorm(dim)
      conv3 = convolution(dim, outputs, kernel: 1, generator)
      bn3 = BatchNorm(outputs, gain: 0)
    }
    downsample =
      stride > 1 || inputs != outputs
      ? Sequential([
        convolution(inputs, outputs, kernel: 1, stride: stride, generator), BatchNorm(outputs),
      ]) : nil
    self.dropPath = DropPath(dropPath)
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {  // [B, C, H, W] -> [B, C', H', W']
    var branch = bn2(conv2(bn1(conv1(x)).relu()))
    if let conv3, let bn3 { branch = bn3(conv3(branch.relu())) }
    return (dropPath(branch) + (downsample?(x) ?? x)).relu()
  }
}

/// An image classifier of residual blocks in four stages, with mean pooling.
public final class ResNet: VisionModel {
  public static let headKey = "fc"

  public let configuration: ResNetConfiguration

  let conv1: Convolution, bn1: BatchNorm
  let layer1: Sequential, layer2: Sequential, layer3: Sequential, layer4: Sequential
  let fc: Linear
  private let drop: Dropout

  public var head: Linear { fc }

  public init(_ configuration: ResNetConfiguration, generator: Generator?) throws {
    try configuration.validate()
    self.configuration = configuration
    conv1 = Convolution(
      configuration.inputChannels, configuration.stemDim, kernel: 7, stride: 2, padding: 3,
      weight: .heNormalFanOut, bias: nil, generator: generator)
    bn1 = BatchNorm(configuration.stemDim)

    let depths = configuration.depths
    let rates = configuration.dropPathRule
      .rates(configuration.dropPath, depth: depths.reduce(0, +))
    func stage(_ index: Int) -> Sequential {
      let expansion = configuration.block.expansion
      let before =
        index == 0 ? configuration.stemDim : configuration.dims[index - 1] * expansion
      let first = depths[..<index].reduce(0, +)
      let blocks = (0..<depths[index]).map { block in
        ResNetBlock(
          configuration.block, inputs: block == 0 ? before : configuration.dims[index] * expansion,
          dim: configuration.dims[index], stride: block == 0 && index > 0 ? 2 : 1,
          dropPath: rates[first + block], generator: generator)
      }
      return Sequential(blocks)
    }
    layer1 = stage(0)
    layer2 = stage(1)
    layer3 = stage(2)
    layer4 = stage(3)
    let width = configuration.dims[3] * configuration.block.expansion
    fc = Linear(
      width, configuration.classes, weight: .torchDefault, bias: .torchDefaultBias(fanIn: width),
      generator: generator)
    drop = Dropout(configuration.dropout)
  }

  public var stages: [Stage] {
    [
      Stage("maxpool") { [conv1, bn1] in  // [B, C, H / 4, W / 4]
        bn1(conv1($0)).relu().maxPooled(3, stride: 2, padding: 1)
      }
    ]
      + [layer1, layer2, layer3, layer4].enumerated().map { index, layer in
        Stage("layer\(index + 1)", blocks: layer.layers.map { block in { block($0) } })
      }
  }

  public func pool(_ x: Tensor) -> Tensor { drop(x.mean([2, 3])) }  // [B, C, H, W] -> [B, C]
}
