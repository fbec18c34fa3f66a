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
  let inputShape: [Int]
  let cotangentShape: [Int]
  let parameterCount: Int
  let parameters: [String: [Int]]
  let logits: [[Double]]
  let features: [[Double]]?
  let stages: [String: Digest]?
  let gradients: [String: Digest]?
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
    let values = tensor.array(of: Double.self)
    let l2 = Tensor(values).norm().item
    #expect(abs(l2 - digest.l2) <= tolerance * digest.l2, what)
    for (value, expected) in zip(values, digest.first) {
      #expect(abs(value - expected) <= tolerance * digest.l2, what)
    }
    let filled = Fill.raw("probe:" + name, [values.count], salt: salt).to(.float64)
    let probe = (filled * Tensor(values)).sum().item
    #expect(abs(probe - digest.probe) <= tolerance * digest.l2, what)
    for (value, expected) in zip(values, digest.values ?? []) {
      #expect(abs(value - expected) <= tolerance * digest.l2, what)
    }
  }
}
