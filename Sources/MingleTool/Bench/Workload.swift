import Layers
import Mingle

/// What is repeated to be measured.
enum WorkloadMode: String, Codable, CaseIterable {
  /// Logits of a batch.
  case forward
  /// Forward, backward and a step of AdamW on a batch.
  case step
}

/// A network with a batch, ready to be run again and again.
///
/// `B` pictures, `K` classes.
final class Workload {
  let mode: WorkloadMode
  let batchSize: Int
  private let once: () -> Tensor

  /// - Parameters:
  ///   - images: normalised pictures [B, channels, height, width].
  ///   - labels: the classes that a step trains towards: [B] int64.
  ///   - calibration: of the weights, for int8.
  /// - Throws: `MingleError` if the network does not take such pictures, or cannot be trained.
  init(
    _ checkpoint: ModelCheckpoint, images: Tensor, labels: Tensor, mode: WorkloadMode,
    precision: InferencePrecision, calibration: Calibration? = nil
  ) throws {
    let configuration = checkpoint.model.configuration
    let size = configuration.imageSize
    let expected = [configuration.inputChannels, size.height, size.width]
    guard images.rank == 4, images.shape[0] > 0, Array(images.shape[1...]) == expected,
      labels.shape == [images.shape[0]]
    else {
      throw MingleError(
        .badData, "the model does not take such pictures and labels",
        expected: "\(["B"] + expected.map { "\($0)" }) and [B]",
        got: "\(images.shape) and \(labels.shape)")
    }
    self.mode = mode
    batchSize = images.shape[0]
    switch mode {
    case .forward:
      let predictor = try Predictor(checkpoint, precision: precision, calibration: calibration)
      once = { predictor.logits(images) }
    case .step:
      guard precision != .int8 else {
        throw MingleError(.usage, "no training in int8", expected: "fp32 or bf16")
      }
      once = try Workload.steps(of: checkpoint.model, images, labels, precision.others)
    }
  }

  /// Logits [B, K], or the loss before the step.
  @discardableResult
  func run() -> Tensor { once() }

  /// Runs `count` times, and tells the seconds that each took.
  func seconds(count: Int) -> [Double] {
    (0..<count).map { _ in elapsed { run() }.seconds }
  }

  /// What `Trainer` does in a step, without its watch over the gradients, which peers lack.
  private static func steps(
    of model: any VisionModel, _ images: Tensor, _ labels: Tensor, _ precision: Precision
  ) throws -> () -> Tensor {
    let precision = precision.products(on: .cpu)
    let optimizer = try OptimizerConfiguration.adamW.make(for: model)
    model.keepLowPrecisionWeights(precision.autocast != nil)
    let trained = model.namedParameters.filter { !$0.parameter.isFrozen }
    model.setMode(.training(Generator(seed: 1)))
    let branches = BranchRoutes()
    return {
      let (loss, gradients) = BranchRoutes.$current.withValue(branches) {
        valueAndGradient(of: trained) {
          Loss.softmax(
            withAutocast(precision.autocast, on: .cpu) { model.logits(images) }, labels)
        }
      }
      optimizer.step(gradients, learningRate: learningRate)
      return loss
    }
  }

  /// So small that three steps on the same pictures leave something to be compared.
  private static let learningRate = 1e-6
}

/// How long `body` takes, and what it returns.
func elapsed<Result>(_ body: () throws -> Result) rethrows -> (seconds: Double, result: Result) {
  let clock = ContinuousClock()
  let start = clock.now
  let result = try body()
  let time = (clock.now - start).components
  return (Double(time.seconds) + Double(time.attoseconds) * 1e-18, result)
}
