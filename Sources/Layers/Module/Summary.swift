import Synchronization
import Torch

/// What one layer did in a forward pass.
public struct LayerSummary: Sendable, Hashable, Codable {
  /// The path from the model: "blocks.0.mlp_tokens.fc1".
  public let name: String
  /// The layer's type: "Linear".
  public let type: String
  public let outputShape: [Int]
  public let parameters: Int
  /// Multiply-adds of the layer's matrix products and convolutions; norms and activations count 0.
  public let multiplyAdds: Int
}

/// Collects what the layers report while a forward pass runs inside ``record(_:)``.
package final class Trace: Sendable {
  @TaskLocal package static var current: Trace?

  private struct Call: Sendable {
    let layer: ObjectIdentifier
    let outputShape: [Int]
    let multiplyAdds: Int
  }

  private let calls = Mutex<[Call]>([])

  /// Runs `forward` and tells what each leaf layer of `model` computed, in the order of the calls.
  package static func summarize(
    _ model: any Module, forward: () -> Void
  ) -> [LayerSummary] {
    let trace = Trace()
    $current.withValue(trace) { withoutGradients(forward) }
    var layers: [ObjectIdentifier: (name: String, module: any Module)] = [:]
    for (name, module) in model.namedModules { layers[ObjectIdentifier(module)] = (name, module) }
    return trace.calls.withLock { $0 }.compactMap { call in
      guard let (name, module) = layers[call.layer] else { return nil }
      return LayerSummary(
        name: name, type: "\(type(of: module))", outputShape: call.outputShape,
        parameters: module.parameterCount, multiplyAdds: call.multiplyAdds)
    }
  }

  fileprivate func add(_ layer: any Module, _ output: Tensor, _ multiplyAdds: Int) {
    calls.withLock {
      $0.append(
        Call(
          layer: ObjectIdentifier(layer), outputShape: output.shape, multiplyAdds: multiplyAdds))
    }
  }
}

extension Module {
  /// Reports this leaf layer's `output` to the trace, if there is one, and passes it on.
  package func traced(
    _ output: Tensor, multiplyAdds: @autoclosure () -> Int = 0
  ) -> Tensor {
    if let trace = Trace.current { trace.add(self, output, multiplyAdds()) }
    return output
  }
}
