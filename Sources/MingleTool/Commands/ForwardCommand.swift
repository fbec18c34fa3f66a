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

      For a language model "input" [texts, tokens] holds token numbers (int64). The file may have \
      "mask" (not 0 where a token counts) and "segments" of the same shape. The logits are [texts, \
      tokens, vocabulary], [texts, classes] or [texts, tokens, 2], by --set task=masked, classes or \
      span; "features" are what enters the last layer; there is no "grad.input".

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
    let results =
      switch try ModelRegistry.entry(model).input {
      case .pictures: try pictureResults(archive, options, device)
      case .text: try textResults(archive, options, device)
      }
    try Safetensors.write(results, to: output)
  }

  private func pictureResults(
    _ archive: any TensorArchive, _ options: LoadOptions, _ device: Device
  ) throws -> [String: Tensor] {
    let network = try ModelCheckpoint.load(weights, options).model
    let images = try self.images(in: archive, for: network).to(device)
    network.move(to: device)
    return try results(
      of: network, archive, device, leaves: [("input", images)],
      cotangentShape: [images.shape[0], network.configuration.classes]
    ) {
      let features = network.features(images)
      return (features, network.head(features))
    }
  }

  private func textResults(
    _ archive: any TensorArchive, _ options: LoadOptions, _ device: Device
  ) throws -> [String: Tensor] {
    let network = try LanguageCheckpoint.load(weights, options).model
    let names = archive.names
    let tokens = try integers(named: "input", in: archive)
    let mask = try names.contains("mask") ? integers(named: "mask", in: archive) : nil
    let segments = try names.contains("segments") ? integers(named: "segments", in: archive) : nil
    do {
      try network.check(tokens, mask: mask, segments: segments)
    } catch let error as MingleError {
      throw MingleError(
        error.kind, error.what, in: input, expected: error.expected, got: error.got,
        next: error.next)
    }
    network.move(to: device)
    let configuration = network.configuration
    let shape =
      switch configuration.task {
      case .masked: tokens.shape + [configuration.vocabulary]
      case .classes: [tokens.shape[0], configuration.classes]
      case .span: tokens.shape + [2]
      }
    return try results(of: network, archive, device, leaves: [], cotangentShape: shape) {
      let features = network.features(
        tokens.to(device), mask: mask?.to(device), segments: segments?.to(device))
      return (features, network.logits(ofFeatures: features))
    }
  }

  /// Logits, and features and gradients where they are asked for, by their names in the output.
  ///
  /// - Parameter leaves: inputs whose gradients are wanted as well, by name.
  private func results(
    of network: any Module, _ archive: any TensorArchive, _ device: Device,
    leaves: [(String, Tensor)], cotangentShape: [Int],
    _ forward: () -> (features: Tensor, logits: Tensor)
  ) throws -> [String: Tensor] {
    func outputs() -> (features: Tensor, logits: Tensor) {
      withAutocast(precision.value.autocast, on: device, forward)
    }
    var results: [String: Tensor] = [:]
    let found: (features: Tensor, logits: Tensor)
    if gradients {
      let cotangent = try floats(named: "cotangent", in: archive, expected: cotangentShape)
      for (_, leaf) in leaves { leaf.setRequiresGradient(true) }
      found = outputs()
      let sources = leaves + network.namedParameters.map { ($0.name, $0.parameter.tensor) }
      let gradients = Mingle.gradients(
        of: [found.logits], cotangents: [cotangent.to(device).to(found.logits.dtype)],
        withRespectTo: sources.map(\.1))
      for (source, gradient) in zip(sources, gradients) {
        results["grad." + source.0] = gradient ?? .zeros(source.1.shape)
      }
    } else {
      found = withoutGradients(outputs)
    }
    results["logits"] = found.logits.detached().to(.float32)
    if features { results["features"] = found.features.detached().to(.float32) }
    return results
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

  /// A copy of a tensor of whole numbers, as int64.
  private func integers(named name: String, in archive: any TensorArchive) throws -> Tensor {
    let (shape, dtype) = (try archive.shape(of: name), try archive.dtype(of: name))
    guard !dtype.isFloatingPoint else {
      throw MingleError(
        .badData, "the tensor '\(name)' has a wrong type", in: input, expected: "int64",
        got: dtype.name, next: "write the numbers of tokens, not their vectors")
    }
    let tensor = Tensor.empty(shape, dtype: .int64)
    tensor.copyInPlace(try archive.tensor(named: name))
    return tensor
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
