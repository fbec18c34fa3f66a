import Foundation
import Layers
import TestSupport
import Testing
import Torch
import Training

/// The numbers of Tools/fixtures/training.py.
struct Reference: Decodable {
  struct Run: Decodable {
    let losses: [Double]
    let parameters: [String: [Double]]
  }
  struct Value: Decodable {
    let value: Double
    let gradient: [Double]
  }

  let optimizers: [String: Run]
  let losses: [String: Value]

  static func load() throws -> Reference {
    let url = try #require(
      Bundle.module.url(forResource: "training", withExtension: "json", subdirectory: "Fixtures"))
    return try JSONDecoder().decode(Reference.self, from: Data(contentsOf: url))
  }
}

/// The network of the fixtures: 6 numbers, 8 hidden ones, 3 classes.
final class SmallNetwork: Module {
  let fc1 = Linear(6, 8, generator: nil)
  let fc2 = Linear(8, 3, generator: nil)
  let seen = Buffer(Tensor([0] as [Int]))

  init() throws {
    try load(
      Dictionary(
        uniqueKeysWithValues: state.map { name, tensor in
          (name, name == "seen" ? tensor : Fill.raw(name, tensor.shape))
        }))
  }

  func logits(_ x: Tensor) -> Tensor { fc2(fc1(x).gelu()) }

  /// Loss and gradients of batch `step`.
  func gradients(_ step: Int) -> (value: Tensor, gradients: Gradients) {
    let x = Fill.raw("input \(step)", [5, 6])
    return valueAndGradient(at: self) { Loss.softmax($0.logits(x), Tensor([0, 1, 2, 1, 0])) }
  }

  /// All bits of the weights.
  var bits: [[UInt32]] {
    namedParameters.map { $0.parameter.tensor.array(of: Float.self).map(\.bitPattern) }
  }
}

/// Whether `a` and `b` differ by at most `tolerance` everywhere.
func areClose(_ a: [Double], _ b: [Double], _ tolerance: Double) -> Bool {
  a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= tolerance }
}

/// A saved state as a file would give it back: other memory, by name.
func saved(_ state: [(name: String, tensor: Tensor)]) -> [String: Tensor] {
  Dictionary(uniqueKeysWithValues: state.map { ($0.name, $0.tensor.detached().cloned()) })
}

/// The error that `body` throws; the test fails if it throws none, or none of ours.
func mingleError(
  _ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation
) -> MingleError? {
  #expect(throws: MingleError.self, sourceLocation: sourceLocation, performing: body)
}
