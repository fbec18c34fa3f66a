import Foundation
import Layers
import Models
import TestSupport
import Testing
import Torch

/// What a reference implementation computed with weights filled by ``Fill``.
struct Fixture: Decodable {
  /// A tensor in a few numbers: its norm, its first elements, its product with a filled tensor.
  struct Digest: Decodable {
    let l2: Double
    let first: [Double]
    let probe: Double
    let shape: [Int]?
    let values: [Double]?
  }

  struct Difference: Decodable {
    let vanishingGradients: [String]?
  }

  let salt: UInt64
  let mode: String
  let inputShape: [Int]
  let cotangentShape: [Int]
  let parameterCount: Int
  let parameters: [String: [Int]]
  let buffers: [String: [Int]]?
  let logits: [[Double]]
  let features: [[Double]]?
  let stages: [String: Digest]?
  let gradients: [String: Digest]?
  let trainedBuffers: [String: Digest]?
  let inputGradient: Digest?
  let float64Difference: Difference?

  static func load(_ name: String) throws -> Fixture {
    let url = try #require(
      Bundle.module.url(forResource: name, withExtension: "json", subdirectory: "Fixtures"))
    return try JSONDecoder().decode(Fixture.self, from: Data(contentsOf: url))
  }

  func fill(_ model: any Module) throws {
    let filled = model.state.map { ($0.name, Fill.parameter($0.name, $0.tensor.shape, salt: salt)) }
    try model.load(Dictionary(uniqueKeysWithValues: filled))
  }

  /// Checks norm, first elements and probe of `tensor` to `tolerance` of its norm.
  func check(
    _ tensor: Tensor, _ digest: Digest, probe name: String, tolerance: Double, _ what: Comment
  ) {
    digest.check(tensor, probe: name, salt: salt, tolerance: tolerance, what)
  }

  /// Checks names and shapes, logits, features, stages, gradients and running statistics of `model`
  /// with filled weights.
  ///
  /// - Parameters:
  ///   - logits: the bound on the logits' error, relative to the largest logit.
  ///   - gradients: the bound on each gradient's error, relative to its norm.
  @TorchActor func check(
    _ model: some VisionModel, logits: Double = 1e-4, gradients: Double = 1e-3
  ) throws {
    checkShapes(model)
    try fill(model)
    if mode == "train" { model.setMode(.training(Generator(seed: 0))) }

    let input = Fill.raw("input", inputShape, salt: salt)
    input.setRequiresGradient(true)
    let statistics = model.namedBuffers.map { $0.buffer.tensor.cloned() }
    let stages = stages ?? [:]
    let outputs = try model.intermediates(input, at: Array(stages.keys))
    for ((name, digest), output) in zip(stages, outputs) {
      #expect(output.shape == digest.shape)
      check(output, digest, probe: "stage:" + name, tolerance: logits, "stage \(name)")
    }
    for (buffer, tensor) in zip(model.namedBuffers, statistics) {  // one forward pass counts
      buffer.buffer.tensor.copyInPlace(tensor)
    }

    let features = model.features(input)
    let found = model.head(features)
    checkLogits(found, features, tolerance: logits)
    checkStatistics(model)
    try checkGradients(of: found, model, input, tolerance: gradients)
  }

  private func checkShapes(_ model: some VisionModel) {
    #expect(model.parameterCount == parameterCount)
    let shapes = model.namedParameters.map { ($0.name, $0.parameter.tensor.shape) }
    #expect(Dictionary(uniqueKeysWithValues: shapes) == parameters)
    let statistics = model.namedBuffers.map { ($0.name, $0.buffer.tensor.shape) }
    #expect(Dictionary(uniqueKeysWithValues: statistics) == (buffers ?? [:]))
  }

  private func checkLogits(_ found: Tensor, _ vectors: Tensor, tolerance: Double) {
    let expected = logits.flatMap { $0 }
    let largest = expected.map(abs).max() ?? 0
    let values = found.array(of: Float.self)
    #expect(values.count == expected.count)
    #expect(zip(values, expected).allSatisfy { abs(Double($0) - $1) <= tolerance * largest })
    for (row, values) in (features ?? []).enumerated() {
      let found = vectors.select(0, row).array(of: Float.self)
      #expect(zip(found, values).allSatisfy { abs(Double($0) - $1) <= tolerance * (1 + abs($1)) })
    }
  }

  private func checkStatistics(_ model: some VisionModel) {
    for (name, buffer) in model.namedBuffers {
      guard let digest = trainedBuffers?[name] else { continue }
      if buffer.tensor.dtype == .int64 {
        #expect(buffer.tensor.array(of: Int.self).map(Double.init) == digest.first)
      } else {
        check(buffer.tensor, digest, probe: name, tolerance: 1e-4, "\(name)")
      }
    }
  }

  private func checkGradients(
    of logits: Tensor, _ model: some VisionModel, _ input: Tensor, tolerance: Double
  ) throws {
    guard let wanted = gradients else { return }
    let cotangent = Fill.raw("cotangent", cotangentShape, salt: salt)
    let parameters = model.namedParameters
    let all = Torch.gradients(
      of: [logits], cotangents: [cotangent],
      withRespectTo: parameters.map(\.parameter.tensor) + [input])
    let vanishing = Set(float64Difference?.vanishingGradients ?? [])
    for (item, gradient) in zip(parameters, all) {
      guard let digest = wanted[item.name] else { continue }
      let gradient = try #require(gradient)
      if vanishing.contains(item.name) {
        #expect(gradient.norm().item < 1e-3, "\(item.name)")
      } else {
        check(gradient, digest, probe: item.name, tolerance: tolerance, "\(item.name)")
      }
    }
    let inputGradient = try #require(all.last ?? nil)
    let digest = try #require(self.inputGradient)
    check(inputGradient, digest, probe: "input", tolerance: tolerance, "input gradient")
  }
}

extension Fixture.Digest {
  /// Checks norm, first elements and probe of `tensor` to `tolerance` of its norm.
  func check(
    _ tensor: Tensor, probe name: String, salt: UInt64, tolerance: Double, _ what: Comment
  ) {
    let numbers = tensor.array(of: Double.self)
    let norm = Tensor(numbers).norm().item
    #expect(abs(norm - l2) <= tolerance * l2, what)
    for (value, expected) in zip(numbers, first) {
      #expect(abs(value - expected) <= tolerance * l2, what)
    }
    let filled = Fill.raw("probe:" + name, [numbers.count], salt: salt).to(.float64)
    let product = (filled * Tensor(numbers)).sum().item
    #expect(abs(product - probe) <= tolerance * l2, what)
    for (value, expected) in zip(numbers, values ?? []) {
      #expect(abs(value - expected) <= tolerance * l2, what)
    }
  }
}
