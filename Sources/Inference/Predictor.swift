import Data
import Layers
import Models
import Torch

/// Classifies pictures with trained weights and the preprocessing that travels with them.
///
/// ```swift
/// let predictor = try Predictor("runs/flowers")
/// print(try predictor.classify("rose.jpg", top: 3))
/// ```
///
/// It computes by an ``InferencePlan``: the model's weights must not change once it has been used, and it
/// is not for use from two threads at once.
///
/// `B` pictures, `C` features, `K` classes.
public final class Predictor {
  public let checkpoint: ModelCheckpoint
  public let precision: InferencePrecision
  public let device: Device
  /// How it multiplies in int8; nil: as it finds on its first picture.
  public let calibration: Calibration?

  private let logitsPlan: InferencePlan
  private let featuresPlan: InferencePlan

  /// Takes over the checkpoint's model: moves it to `device` and sets it to evaluation.
  ///
  /// - Parameter calibration: of this model, for int8.
  /// - Throws: `MingleError` (`usage`) if the model's input is not gray or colour, or if int8 is asked
  ///   for on another device than the CPU; (`badData`) for the calibration of another model or weights.
  public init(
    _ checkpoint: ModelCheckpoint, precision: InferencePrecision = .float32, device: Device = .cpu,
    calibration: Calibration? = nil
  ) throws {
    let channels = checkpoint.model.configuration.inputChannels
    guard channels == 1 || channels == 3 else {
      throw MingleError(
        .usage, "the model does not take pictures", in: checkpoint.name,
        expected: "1 or 3 input channels", got: "\(channels)")
    }
    guard precision != .int8 || device == .cpu else {
      throw MingleError(
        .usage, "products of bytes are for the CPU", expected: "fp32 or bf16 on \(device)",
        got: "int8")
    }
    self.checkpoint = checkpoint
    self.precision = precision
    self.device = device
    checkpoint.model.move(to: device)
    checkpoint.model.setMode(.evaluation)
    let model = checkpoint.model
    let calibration = precision == .int8 ? calibration : nil
    self.calibration = calibration
    if let calibration {
      let size = model.configuration.imageSize
      let input = Tensor.zeros([1, channels, size.height, size.width])
      try calibration.require(of: { model.logits($0) }, input)
    }
    func plan(_ forward: @escaping (Tensor) -> Tensor) -> InferencePlan {
      InferencePlan(
        precision: precision, routes: .ofMachine, calibration: calibration, forward)
    }
    logitsPlan = plan { model.logits($0) }
    featuresPlan = plan { model.features($0) }
  }

  /// Reads a run's folder (its best weights) or a file of weights, and for int8 the calibration beside
  /// them, if there is one.
  ///
  /// - Throws: `MingleError` as ``ModelCheckpoint/load(_:_:)`` does, and for a calibration that is not
  ///   theirs.
  public convenience init(
    _ path: String, _ options: LoadOptions = LoadOptions(),
    precision: InferencePrecision = .float32,
    device: Device = .cpu
  ) throws {
    try self.init(
      .load(path, options), precision: precision, device: device,
      calibration: precision == .int8 ? .ofWeights(at: path) : nil)
  }

  /// The class's name, or its number.
  public func label(of index: Int) -> String { checkpoint.labels?[index] ?? "\(index)" }

  /// The most likely classes of the picture in a file, the likeliest first.
  ///
  /// - Throws: `MingleError` that names the file and why it cannot be read.
  public func classify(_ path: String, top: Int = 5) throws -> [Prediction] {
    try classify(Image(contentsOf: path), top: top)
  }

  /// The most likely classes of a picture, the likeliest first.
  public func classify(_ image: Image, top: Int = 5) throws -> [Prediction] {
    try classify([image], top: top)[0]
  }

  /// The most likely classes of each of several pictures, computed together.
  ///
  /// - Parameter top: how many classes; all where the model has fewer.
  /// - Throws: `MingleError` if the preprocessing cannot be, or the network's answer is no number.
  public func classify(_ images: [Image], top: Int = 5) throws -> [[Prediction]] {
    guard !images.isEmpty else { return [] }
    let scores = checkpoint.scores(logits(try inputs(images)))
    let best = scores.topK(min(max(1, top), scores.shape[1]))
    let count = best.values.shape[1]
    let probabilities = best.values.array(of: Double.self)
    guard probabilities.allSatisfy(\.isFinite) else {
      throw MingleError(
        .badData, "the network's answer is no number", in: checkpoint.name,
        next: "the weights are damaged, or their training diverged: use others")
    }
    let indices = best.indices.array(of: Int.self)
    return images.indices.map { row in
      (row * count..<(row + 1) * count).map { place in
        Prediction(
          label: label(of: indices[place]), classIndex: indices[place],
          probability: probabilities[place])
      }
    }
  }

  /// The pictures as the model's input: [B, channels, height, width] on the CPU.
  ///
  /// - Throws: `MingleError` if the preprocessing cannot be.
  public func inputs(_ images: [Image]) throws -> Tensor {
    .stacked(try images.map { try $0.input(for: checkpoint.preprocessing) })
  }

  /// One number for each class: normalised pictures [B, channels, height, width] -> [B, K] float32.
  public func logits(_ inputs: Tensor) -> Tensor {
    logitsPlan(inputs.to(device))
  }

  /// The vectors that enter the classifier: [B, channels, height, width] -> [B, C] float32.
  public func features(_ inputs: Tensor) -> Tensor {
    featuresPlan(inputs.to(device))
  }
}
