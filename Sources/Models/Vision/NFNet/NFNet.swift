// NFNet: High-performance large-scale image recognition without normalization.
// Brock, De, Smith, Simonyan, 2021, arXiv 2102.06171.
// Reference: timm, nfnet.py (`dm_nfnet_f0`, which runs DeepMind's weights); names and layout as there.
//
// B batch, C channels, H x W positions; I input and O output channels of a convolution.
//
// The signal's variance is known beforehand: each block adds alpha^2 to it, and a stage's first block,
// whose shortcut is a convolution, sets it to 1 before. A block divides by the deviation (beta), and
// activations are multiplied with the gain that keeps a unit variance. Beta and gains scale the weights
// of the convolution that follows here, and the gate, alpha and the learned gain are multiplied with
// one another first: the same numbers with one pass over the map less each.
//
// Deviations from DeepMind's code, as in timm's: the standardisation adds 1e-5 to the variance
// (there at least 1e-4 over the fan-in), and all widths are multiples of 8. Weights start as in timm:
// convolutions normal with variance 1 / fan-in, the classifier normal with deviation 0.01, gains 1, the
// branches' gains and biases 0.
//
// Published: top-1 83.6 % for F0, trained at 192 and tested at 256 pixels (12.38 billion
// multiply-adds), with stochastic depth 0.25 and dropout 0.2 (here settings, at first 0).

import Layers
import Torch

/// A convolution whose weights have mean 0 and variance `gain^2 / fanIn` for each output channel,
/// padded with zeros (more below and on the right) so that `H' = ceil(H / stride)`:
/// [B, I, H, W] -> [B, O, H', W'].
public final class ScaledStandardizedConvolution: Module {
  let weight: Parameter  // [O, I / groups, k, k]
  let bias: Parameter  // [O]
  let gain: Parameter  // [O, 1, 1, 1]
  private let kernel: Int, stride: Int, groups: Int
  private let epsilon: Double

  init(
    _ inputs: Int, _ outputs: Int, kernel: Int = 1, stride: Int = 1, groups: Int = 1,
    epsilon: Double, generator: Generator?
  ) {
    weight = Parameter(
      Initializer.fanInNormal([outputs, inputs / groups, kernel, kernel], generator))
    bias = Parameter(.zeros([outputs]))
    gain = Parameter(.ones([outputs, 1, 1, 1]), decays: false)
    self.kernel = kernel
    self.stride = stride
    self.groups = groups
    self.epsilon = epsilon
  }

  /// - Parameter scale: what `x` is to be multiplied with first.
  func callAsFunction(_ x: Tensor, scale: Double = 1) -> Tensor {
    let weight = weight.tensor
    let outputs = weight.shape[0]
    let fanIn = weight.count / outputs
    let standardized = weight.reshaped([1, outputs, fanIn]).batchNorm(
      gain.tensor.reshaped([outputs]) * (scale / Double(fanIn).squareRoot()), nil, momentum: 0,
      epsilon: epsilon)

    let (rows, columns) = (padding(x.shape[2]), padding(x.shape[3]))
    let isEven = rows % 2 == 0 && columns % 2 == 0
    let y = (isEven ? x : x.padded([0, columns % 2, 0, rows % 2])).convolution(
      standardized.reshaped(weight.shape), bias.tensor, stride: (stride, stride),
      padding: (rows / 2, columns / 2), groups: groups)
    return traced(y, multiplyAdds: y.count * fanIn)
  }

  /// The zeros that `size` rows or columns lack, both sides together.
  private func padding(_ size: Int) -> Int {
    max(0, ((size + stride - 1) / stride - 1) * stride + kernel - size)
  }
}

/// Four convolutions that quarter height and width.
public final class NFNetStem: Module {
  let conv1: ScaledStandardizedConvolution, conv2: ScaledStandardizedConvolution
  let conv3: ScaledStandardizedConvolution, conv4: ScaledStandardizedConvolution
  private let activation: Activation, activationGain: Double

  init(_ configuration: NFNetConfiguration, generator: Generator?) {
    let dim = configuration.stemChannels
    func convolution(_ inputs: Int, _ outputs: Int, stride: Int) -> ScaledStandardizedConvolution {
      ScaledStandardizedConvolution(
        inputs, outputs, kernel: 3, stride: stride, epsilon: configuration.normEpsilon,
        generator: generator)
    }
    conv1 = convolution(configuration.inputChannels, dim / 8, stride: 2)
    conv2 = convolution(dim / 8, dim / 4, stride: 1)
    conv3 = convolution(dim / 4, dim / 2, stride: 1)
    conv4 = convolution(dim / 2, dim, stride: 2)
    (activation, activationGain) = (configuration.activation, configuration.activationGain)
  }

  func callAsFunction(_ images: Tensor) -> Tensor {
    [conv2, conv3, conv4].reduce(conv1(images)) { x, convolution in
      convolution(activation(x), scale: activationGain)
    }
  }
}

/// The shortcut of a block that changes the shape: means of 2 x 2 squares, if it strides, and a
/// convolution over the channels.
public final class NFNetDownsampling: Module {
  let conv: ScaledStandardizedConvolution
  private let stride: Int

  init(_ inputs: Int, _ outputs: Int, stride: Int, epsilon: Double, generator: Generator?) {
    conv = ScaledStandardizedConvolution(inputs, outputs, epsilon: epsilon, generator: generator)
    self.stride = stride
  }

  func callAsFunction(_ x: Tensor, scale: Double) -> Tensor {
    conv(stride == 1 ? x : x.averagePooled(stride), scale: scale)
  }
}

/// A bottleneck with activations before the convolutions and squeeze-and-excitation after them.
public final class NFNetBlock: Module {
  let skipinitGain: Parameter  // []
  let downsample: NFNetDownsampling?
  let conv1: ScaledStandardizedConvolution, conv2: ScaledStandardizedConvolution
  let conv2b: ScaledStandardizedConvolution?
  let conv3: ScaledStandardizedConvolution
  let attnLast: PointwiseMLP
  let dropPath: DropPath
  private let activation: Activation, activationGain: Double
  private let beta: Double
  private let branchGain: Double

  /// - Parameter variance: the expected variance of the block's input.
  init(
    _ configuration: NFNetConfiguration, _ inputs: Int, dim: Int, stride: Int, variance: Double,
    dropPath: Double, generator: Generator?
  ) {
    let outputs = configuration.scaled(dim)
    let (channels, groups) = configuration.inner(dim)
    func convolution(
      _ inputs: Int, _ outputs: Int, kernel: Int = 1, stride: Int = 1, groups: Int = 1
    ) -> ScaledStandardizedConvolution {
      ScaledStandardizedConvolution(
        inputs, outputs, kernel: kernel, stride: stride, groups: groups,
        epsilon: configuration.normEpsilon, generator: generator)
    }
    skipinitGain = Parameter(.zeros([]))
    downsample =
      inputs == outputs && stride == 1
      ? nil
      : NFNetDownsampling(
        inputs, outputs, stride: stride, epsilon: configuration.normEpsilon, generator: generator)
    conv1 = convolution(inputs, channels)
    conv2 = convolution(channels, channels, kernel: 3, stride: stride, groups: groups)
    conv2b =
      configuration.extraConvolution
      ? convolution(channels, channels, kernel: 3, groups: groups) : nil
    conv3 = convolution(channels, outputs)
    attnLast = PointwiseMLP(
      outputs, hidden: configuration.squeezed(dim), activation: .relu, weight: .fanInNormal,
      generator: generator)
    self.dropPath = DropPath(dropPath)
    (activation, activationGain) = (configuration.activation, configuration.activationGain)
    beta = 1 / variance.squareRoot()
    branchGain = configuration.attentionGain * configuration.alpha
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, C, H, W]
    let active = activation(x)
    let shortcut = downsample.map { $0(active, scale: activationGain * beta) } ?? x
    var y = conv1(active, scale: activationGain * beta)
    y = conv2(activation(y), scale: activationGain)
    if let conv2b { y = conv2b(activation(y), scale: activationGain) }
    y = conv3(activation(y), scale: activationGain)
    let gate = attnLast(y.mean([2, 3], keepDimensions: true)).sigmoid()  // [B, C, 1, 1]
    return shortcut + y * dropPath(gate * skipinitGain.tensor * branchGain)
  }
}

/// A convolutional image classifier whose weights, not whose maps, are normalised.
public final class NFNet: VisionModel {
  public static let headKey = "head.fc"

  public let configuration: NFNetConfiguration

  let stem: NFNetStem
  private let _stages: [[NFNetBlock]]
  let finalConv: ScaledStandardizedConvolution
  let drop: Dropout
  private let _head: ClassifierHead
  public var head: Linear { _head.fc }

  public init(_ configuration: NFNetConfiguration, generator: Generator?) throws {
    try configuration.validate()
    self.configuration = configuration
    stem = NFNetStem(configuration, generator: generator)
    let (depths, dims) = (configuration.depths, configuration.dims)
    var rates = configuration.dropPathRule.rates(
      configuration.dropPath, depth: depths.reduce(0, +))[...]
    var channels = configuration.stemChannels
    var variance = 1.0
    _stages = depths.indices.map { stage in
      (0..<depths[stage]).map { index in
        defer {
          channels = configuration.scaled(dims[stage])
          variance = (index == 0 ? 1 : variance) + configuration.alpha * configuration.alpha
        }
        return NFNetBlock(
          configuration, channels, dim: dims[stage], stride: index == 0 && stage > 0 ? 2 : 1,
          variance: variance, dropPath: rates.removeFirst(), generator: generator)
      }
    }
    finalConv = ScaledStandardizedConvolution(
      channels, configuration.featureChannels, epsilon: configuration.normEpsilon,
      generator: generator)
    drop = Dropout(configuration.dropout)
    _head = ClassifierHead(
      Linear(
        configuration.featureChannels, configuration.classes,
        weight: .normal(standardDeviation: 0.01), generator: generator))
  }

  public var stages: [Stage] {
    [Stage("stem", stem.callAsFunction)]
      + _stages.enumerated().map { index, stage in
        Stage("stages.\(index)", blocks: stage.map { $0.callAsFunction })
      }
      + [Stage("final_conv") { [finalConv] x in finalConv(x) }]
  }

  public func pool(_ x: Tensor) -> Tensor {  // [B, C, H, W] -> [B, C]
    drop(configuration.activation(x).mean([2, 3]) * configuration.activationGain)
  }
}
