import Checkpoints
import Foundation
import Models
import Torch

/// How a network's plan multiplies in ``InferencePrecision/int8``, found out on samples: which of its steps
/// multiply bytes, and in which ranges these take what they multiply.
///
/// ```swift
/// let calibration = try Calibration(of: model, on: [images])
/// try calibration.write(to: "runs/flowers/best/calibration.json")
/// let predictor = try Predictor("runs/flowers", precision: .int8)  // finds it
/// ```
public struct Calibration: Codable, Sendable {
  /// One or two layers that a plan computes at once, with what stands around them.
  public struct Step: Codable, Hashable, Sendable {
    public enum Products: String, Codable, Sendable {
      case bytes = "int8"
      case bfloat16 = "bf16"
    }

    /// What the names of its layers' weights begin with; empty where they have none.
    public let layer: String
    /// What it computes: "512 channels, norm, 2048 gelu, 512 identity, residual".
    public let sizes: String
    /// The Euclidean norm of its weights, which tells them from others.
    public let norm: Double
    public let products: Products
    /// Of the numbers that enter the first layer, after a norm; nil: each row's own as it comes.
    public let input: ActivationRange?
    /// Of those that enter the second layer.
    public let hidden: ActivationRange?
    /// How far products of bytes are from exact ones in its results, over all samples, in Euclidean
    /// norms.
    public let error: Double

    var ranges: ActivationRanges { ActivationRanges(input: input, hidden: hidden) }
  }

  /// How many samples it was found out on.
  public let samples: Int
  /// In the order of the plan.
  public let steps: [Step]
  /// The file that it was read from.
  public private(set) var path: String?

  private enum CodingKeys: CodingKey { case samples, steps }

  init(samples: Int, steps: [Step]) { (self.samples, self.steps) = (samples, steps) }
}

// MARK: - Files

extension Calibration {
  /// Reads what ``write(to:)`` wrote.
  ///
  /// - Throws: `MingleError` where the file is not there (`missingInput`) or damaged (`badData`).
  public init(contentsOf path: String) throws {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw MingleError(.missingInput, "no such file, or it cannot be read", in: path)
    }
    guard let calibration = try? JSONDecoder().decode(Calibration.self, from: data),
      !calibration.steps.isEmpty,
      calibration.steps.flatMap({ [$0.input, $0.hidden] }).allSatisfy({ $0?.isValid != false })
    else {
      throw MingleError(
        .badData, "not a calibration, or a damaged one", in: path, next: Self.advice)
    }
    self = calibration
    self.path = path
  }

  /// The calibration beside a file of weights or beside the weights of a run; nil where there is none.
  ///
  /// - Throws: `MingleError` where there are no weights, or the calibration is damaged.
  public static func ofWeights(at path: String) throws -> Calibration? {
    let file = try Self.path(forWeightsAt: path)
    return FileManager.default.fileExists(atPath: file) ? try Calibration(contentsOf: file) : nil
  }

  /// Where the calibration of weights belongs: beside `model.safetensors`, as in a run's folder, it is
  /// `calibration.json`, beside other files of weights `<name>.calibration.json`.
  ///
  /// - Throws: `MingleError` where there are no weights.
  public static func path(forWeightsAt path: String) throws -> String {
    let file = URL(filePath: try Models.file(ofWeightsAt: path))
    let stem = file.deletingPathExtension().lastPathComponent
    let name = stem == "model" ? "calibration.json" : "\(stem).calibration.json"
    return file.deletingLastPathComponent().appending(path: name).path
  }

  /// - Throws: `MingleError` if the file cannot be written.
  public func write(to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try writeAtomically(String(decoding: encoder.encode(self), as: UTF8.self) + "\n", to: path)
  }
}

// MARK: - Whose it is

extension Calibration {
  /// Whether `steps` are those of the calibration, or its first ones.
  func fits(_ steps: [FusedStep]) -> Bool {
    !steps.isEmpty && steps.count <= self.steps.count
      && zip(steps, self.steps).allSatisfy { $0.sizes == $1.sizes && $1.hasWeights(of: $0) }
  }

  /// - Parameter input: any input of the calibration's shape.
  /// - Throws: `MingleError` (`badData`) unless the calibration is that of `forward`.
  func require(of forward: (Tensor) -> Tensor, _ input: Tensor) throws {
    let found = withoutGradients { PlanGraph.fused(forward, input).graph?.fusedSteps ?? [] }
    func refusal(_ what: String, _ expected: String, _ got: String) -> MingleError {
      MingleError(
        .badData, what, in: path ?? "the calibration", expected: expected, got: got,
        next: Self.advice)
    }
    for (index, (step, own)) in zip(found, steps).enumerated() {
      let name = "step \(index + 1)" + (own.layer.isEmpty ? "" : " (\(own.layer))")
      guard step.sizes == own.sizes else {
        throw refusal("\(name) is of another network", "'\(step.sizes)'", "'\(own.sizes)'")
      }
      guard own.hasWeights(of: step) else {
        throw refusal(
          "\(name) is of other weights", "weights of norm \(step.norm)", "\(own.norm)")
      }
    }
    guard found.count == steps.count else {
      throw refusal("it is of another network", "\(found.count) steps", "\(steps.count)")
    }
  }

  fileprivate static let advice = "run 'mingle calibrate' again, or remove the file"
}

extension Calibration.Step {
  fileprivate func hasWeights(of step: FusedStep) -> Bool {
    abs(step.norm - norm) <= 1e-6 * norm.magnitude
  }
}
