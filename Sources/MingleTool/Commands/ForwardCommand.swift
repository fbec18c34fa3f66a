import ArgumentParser
import Mingle

/// `mingle forward MODEL`
struct ForwardCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "forward",
    abstract: "Run a network once on tensors, to compare it with another implementation.",
    discussion: """
      Reads the tensor "input" [images, channels, height, width], already normalised, and writes \
      "logits" [images, classes]. With --features it writes "features" as well, the vectors that \
      enter the classifier. With --gradients it reads "cotangent" (the shape of the logits) and \
      writes "grad.input" and "grad.KEY" for every parameter: the gradients of \
      sum(logits * cotangent).

      Example: mingle forward mixer_s16_224 --weights timm.safetensors --input in.safetensors \
      --output out.safetensors
      """)

  @Argument(help: "A model of 'mingle models'.")
  var model: String

  @Option(help: "The weights: safetensors, npz or .pth in any known layout, or a run's folder.")
  var weights: String

  @Option(help: "A safetensors or npz file with the tensor \"input\".")
  var input: String

  @Option(help: "The safetensors file to write.")
  var output: String

  @Flag(help: "Write the vectors that enter the classifier.")
  var features = false

  @Flag(help: "Write gradients of the input and of every parameter.")
  var gradients = false

  @OptionGroup var settings: SettingOptions
  @OptionGroup var resizing: ResizingOptions
  @OptionGroup var precision: PrecisionOption
  @OptionGroup var device: DeviceOptions

  func run() throws {
    let device = try device.start()
    let options = LoadOptions(
      model: model, settings: try settings.fields(), resizeTokens: resizing.resizeTokens)
    let archive = try openTensorArchive(at: input)
    let network = try ModelCheckpoint.load(weights, options).model
    let images = try self.images(in: archive, for: network).to(device)
    network.move(to: device)

    var results: [String: Tensor] = [:]
    if gradients {
      let shape = [images.shape[0], network.configuration.classes]
      let cotangent = try floats(named: "cotangent", in: archive, expected: shape).to(device)
      images.setRequiresGradient(true)
      let outputs = withAutocast(precision.value.autocast, on: device) {
        forward(network, images)
      }
      add(gradients(of: outputs.logits, cotangent, in: network, images), to: &results)
      add(outputs, to: &results)
    } else {
      add(
        withoutGradients {
          withAutocast(precision.value.autocast, on: device) { forward(network, images) }
        }, to: &results)
    }
    try Safetensors.write(results, to: output)
  }

  private typealias Outputs = (features: Tensor, logits: Tensor)

  private func forward(_ network: any VisionModel, _ images: Tensor) -> Outputs {
    let features = network.features(images)
    return (features, network.head(features))
  }

  private func add(_ outputs: Outputs, to results: inout [String: Tensor]) {
    results["logits"] = outputs.logits.detached().to(.float32)
    if features { results["features"] = outputs.features.detached().to(.float32) }
  }

  /// The gradients of `sum(logits * cotangent)` by their names in the output.
  private func gradients(
    of logits: Tensor, _ cotangent: Tensor, in network: any VisionModel, _ images: Tensor
  ) -> [String: Tensor] {
    let sources =
      [("input", images)] + network.namedParameters.map { ($0.name, $0.parameter.tensor) }
    let found = Mingle.gradients(
      of: [logits], cotangents: [cotangent.to(logits.dtype)], withRespectTo: sources.map(\.1))
    let pairs = zip(sources, found).map { source, gradient in
      ("grad." + source.0, gradient ?? .zeros(source.1.shape))
    }
    return Dictionary(uniqueKeysWithValues: pairs)
  }

  private func add(_ tensors: [String: Tensor], to results: inout [String: Tensor]) {
    results.merge(tensors) { old, _ in old }
  }

  /// The tensor "input", which must have the network's channels and image size.
  private func images(
    in archive: any TensorArchive, for network: any VisionModel
  ) throws -> Tensor {
    let size = network.configuration.imageSize
    let expected = [network.configuration.inputChannels, size.height, size.width]
    let shape = try archive.shape(of: "input")
    guard shape.count == 4, shape[0] > 0, Array(shape[1...]) == expected else {
      let isOtherSize = shape.count == 4 && shape[1] == expected[0] && shape[2] > 0 && shape[3] > 0
      throw MingleError(
        .badData, "the tensor 'input' has a shape that the model does not take", in: input,
        expected: "[images, \(expected.map(String.init).joined(separator: ", "))]", got: "\(shape)",
        next: isOtherSize
          ? "pass --image-size \(ImageSize(shape[2], shape[3])) if the weights are for that size"
          : nil)
    }
    return try floats(named: "input", in: archive, expected: shape)
  }

  /// A copy of a tensor of real numbers of the expected shape, as float32.
  private func floats(
    named name: String, in archive: any TensorArchive, expected: [Int]
  ) throws -> Tensor {
    let shape = try archive.shape(of: name)
    guard shape == expected else {
      throw MingleError(
        .badData, "the tensor '\(name)' has a wrong shape", in: input, expected: "\(expected)",
        got: "\(shape)")
    }
    let dtype = try archive.dtype(of: name)
    guard dtype.isFloatingPoint else {
      throw MingleError(
        .badData, "the tensor '\(name)' has a wrong type", in: input, expected: "float32",
        got: dtype.name, next: "normalise pictures before writing them")
    }
    let tensor = Tensor.empty(shape)
    tensor.copyInPlace(try archive.tensor(named: name))
    return tensor
  }
}
