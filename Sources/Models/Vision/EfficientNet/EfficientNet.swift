// EfficientNet: Rethinking model scaling for convolutional neural networks.
// Tan and Le, 2019, arXiv 1905.11946.
// Reference: timm, efficientnet.py (`efficientnet_b0`, not `tf_efficientnet_b0`); names and layout as
// there.
//
// B batch, C channels, H x W positions.
//
// Deviations from the paper, as in that code: convolutions are padded alike on both sides, so that any
// image size will do; the running statistics move by 0.1 and the norms' epsilon is 1e-5 (Google's code:
// 0.01 and 1e-3). Weights start as in Google's code: convolutions normal with variance
// 2 / (fan-out of a group), the classifier uniform on +-1 / sqrt(classes), biases 0.
//
// Published: top-1 77.1 % for B0 and, at 300 pixels, 81.6 % for B3 (ResMLP's paper quotes 81.1),
// trained with stochastic depth 0.2 and dropout (here settings, at first 0).

import Layers
import Torch

/// Weighs the channels of a map by what the means over its positions say
/// (squeeze-and-excitation, Hu et al. 2018).
public final class SqueezeExcitation: Module {
  let convReduce: Convolution, convExpand: Convolution
  private let activation: Activation

  init(_ channels: Int, squeezed: Int, activation: Activation, generator: Generator?) {
    convReduce = convolution(channels, squeezed, bias: true, generator: generator)
    convExpand = convolution(squeezed, channels, bias: true, generator: generator)
    self.activation = activation
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, C, H, W]
    let means = x.mean([2, 3], keepDimensions: true)  // [B, C, 1, 1]
    return x * convExpand(activation(convReduce(means))).sigmoid()
  }
}

/// A block of a stage: [B, I, H, W] -> [B, O, H', W'].
public protocol EfficientNetBlock: Module {
  func callAsFunction(_ x: Tensor) -> Tensor
}

/// The paper's MBConv1: a convolution of each channel, then one over the channels.
public final class DepthwiseSeparableBlock: EfficientNetBlock {
  let convDw: Convolution, bn1: BatchNorm
  let se: SqueezeExcitation?
  let convPw: Convolution, bn2: BatchNorm
  let dropPath: DropPath?  // nil without a shortcut
  private let activation: Activation

  init(
    _ configuration: EfficientNetConfiguration, _ block: EfficientNetConfiguration.Block,
    generator: Generator?
  ) {
    convDw = block.depthwise(generator)
    bn1 = configuration.norm(block.hidden)
    se = block.squeezeExcitation(configuration.activation, generator)
    convPw = convolution(block.hidden, block.outputs, generator: generator)
    bn2 = configuration.norm(block.outputs)
    dropPath = block.shortcut
    activation = configuration.activation
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    var y = activation(bn1(convDw(x)))
    if let se { y = se(y) }
    y = bn2(convPw(y))
    return dropPath.map { x + $0(y) } ?? y
  }
}

/// The paper's MBConv6: widens the channels, convolves each, and narrows them again.
public final class InvertedResidualBlock: EfficientNetBlock {
  let convPw: Convolution, bn1: BatchNorm
  let convDw: Convolution, bn2: BatchNorm
  let se: SqueezeExcitation?
  let convPwl: Convolution, bn3: BatchNorm
  let dropPath: DropPath?  // nil without a shortcut
  private let activation: Activation

  init(
    _ configuration: EfficientNetConfiguration, _ block: EfficientNetConfiguration.Block,
    generator: Generator?
  ) {
    convPw = convolution(block.inputs, block.hidden, generator: generator)
    bn1 = configuration.norm(block.hidden)
    convDw = block.depthwise(generator)
    bn2 = configuration.norm(block.hidden)
    se = block.squeezeExcitation(configuration.activation, generator)
    convPwl = convolution(block.hidden, block.outputs, generator: generator)
    bn3 = configuration.norm(block.outputs)
    dropPath = block.shortcut
    activation = configuration.activation
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    var y = activation(bn1(convPw(x)))  // I -> 6I
    y = activation(bn2(convDw(y)))
    if let se { y = se(y) }
    y = bn3(convPwl(y))  // 6I -> O
    return dropPath.map { x + $0(y) } ?? y
  }
}

/// A convolutional image classifier whose width, depth and image size grow together.
public final class EfficientNet: VisionModel {
  public static let headKey = "classifier"

  public let configuration: EfficientNetConfiguration

  let convStem: Convolution, bn1: BatchNorm
  let blocks: [[any EfficientNetBlock]]
  let convHead: Convolution, bn2: BatchNorm
  let dropout: Dropout
  let classifier: Linear

  public init(_ configuration: EfficientNetConfiguration, generator: Generator?) throws {
    try configuration.validate()
    self.configuration = configuration
    let stages = configuration.blocks
    let (stem, features) = (configuration.stemChannels, configuration.featureChannels)
    convStem = convolution(
      configuration.inputChannels, stem, kernel: 3, stride: 2, generator: generator)
    bn1 = configuration.norm(stem)
    blocks = stages.map { stage in
      stage.map { block -> any EfficientNetBlock in
        if block.expansion == 1 {
          DepthwiseSeparableBlock(configuration, block, generator: generator)
        } else {
          InvertedResidualBlock(configuration, block, generator: generator)
        }
      }
    }
    convHead = convolution(stages.last?.last?.outputs ?? stem, features, generator: generator)
    bn2 = configuration.norm(features)
    dropout = Dropout(configuration.dropout)
    classifier = Linear(
      features, configuration.classes,
      weight: .uniform(bound: 1 / Double(configuration.classes).squareRoot()),
      generator: generator)
  }

  public var head: Linear { classifier }

  public var stages: [Stage] {
    let activation = configuration.activation
    return [Stage("bn1") { [convStem, bn1] x in activation(bn1(convStem(x))) }]
      + blocks.enumerated().map { index, stage in
        Stage("blocks.\(index)", blocks: stage.map { block in { block($0) } })
      }
      + [Stage("bn2") { [convHead, bn2] x in activation(bn2(convHead(x))) }]
  }

  public func pool(_ x: Tensor) -> Tensor { dropout(x.mean([2, 3])) }  // [B, C, H, W] -> [B, C]
}

extension EfficientNetConfiguration {
  fileprivate func norm(_ channels: Int) -> BatchNorm {
    BatchNorm(channels, momentum: normMomentum, epsilon: normEpsilon)
  }
}

extension EfficientNetConfiguration.Block {
  fileprivate func depthwise(_ generator: Generator?) -> Convolution {
    convolution(
      hidden, hidden, kernel: kernel, stride: stride, groups: hidden, generator: generator)
  }

  fileprivate func squeezeExcitation(
    _ activation: Activation, _ generator: Generator?
  ) -> SqueezeExcitation? {
    squeezed == 0
      ? nil
      : SqueezeExcitation(
        hidden, squeezed: squeezed, activation: activation, generator: generator)
  }

  /// What the branch passes before it is added to the input, where shapes allow that.
  fileprivate var shortcut: DropPath? {
    inputs == outputs && stride == 1 ? DropPath(dropPath) : nil
  }
}

/// A convolution with normal weights of variance `2 / (kernel^2 O / groups)`.
private func convolution(
  _ inputs: Int, _ outputs: Int, kernel: Int = 1, stride: Int = 1, groups: Int = 1,
  bias: Bool = false, generator: Generator?
) -> Convolution {
  let fanOut = Double(kernel * kernel * outputs / groups)
  return Convolution(
    inputs, outputs, kernel: kernel, stride: stride, padding: (kernel - 1 + stride - 1) / 2,
    groups: groups, weight: .normal(standardDeviation: (2 / fanOut).squareRoot()),
    bias: bias ? .zeros : nil, generator: generator)
}
