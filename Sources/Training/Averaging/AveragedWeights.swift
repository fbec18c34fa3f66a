import Foundation
import Layers
import Torch

/// An exponential moving average of a model's weights (Polyak and Juditsky 1992).
///
///     average = d * average + (1 - d) * weight
///
/// with d = `decay`, or, with warm-up, the smaller of it and `(1 + t) / (10 + t)` at update t from
/// 0, so that the average forgets the first weights soon. Buffers are copied: they hold statistics
/// that are averages already, or counters.
public final class AveragedWeights {
  public let decay: Double
  public let warmsUp: Bool
  /// How many updates have been made.
  public private(set) var updateCount = 0

  private let parameters: [(name: String, parameter: Parameter)]
  private let buffers: [(name: String, buffer: Buffer)]
  private let averages: [Tensor]
  private let bufferCopies: [Tensor]
  private let places: [ObjectIdentifier: Int]

  /// Starts from the model's weights as they are; the model must be on its device.
  ///
  /// - Throws: `MingleError` unless `decay` is from 0 up to 1.
  public init(of model: any Module, decay: Double, warmsUp: Bool = true) throws {
    try requireSetting("ema_decay", decay, "0 up to 1") { 0 <= $0 && $0 < 1 }
    self.decay = decay
    self.warmsUp = warmsUp
    parameters = model.namedParameters
    buffers = model.namedBuffers
    averages = parameters.map { $0.parameter.tensor.detached().cloned() }
    bufferCopies = buffers.map { $0.buffer.tensor.cloned() }
    places = Dictionary(
      parameters.enumerated().map { (ObjectIdentifier($1.parameter), $0) },
      uniquingKeysWith: { first, _ in first })
  }

  /// Takes in the model's weights; call it after each step of the optimizer, unless the optimizer does
  /// it: see ``Optimizer/step(_:scale:learningRate:updating:)``.
  public func update() { finishUpdate(share: beginUpdate(), besides: []) }

  /// Counts an update.
  ///
  /// - Returns: the share of the new weights in the averages, 1 - d.
  func beginUpdate() -> Double {
    let warmUp = Double(1 + updateCount) / Double(10 + updateCount)
    updateCount += 1
    return 1 - (warmsUp ? min(decay, warmUp) : decay)
  }

  /// The average itself; nil for a parameter of another model.
  func average(of parameter: Parameter) -> Tensor? {
    places[ObjectIdentifier(parameter)].map { averages[$0] }
  }

  /// Takes in everything but the parameters `done`, whose averages were written with them.
  func finishUpdate(share: Double, besides done: Set<ObjectIdentifier>) {
    let open = parameters.indices.filter {
      !done.contains(ObjectIdentifier(parameters[$0].parameter))
    }
    withoutGradients {
      if !open.isEmpty {
        Operator.listInterpolateInPlace.run(
          open.map { averages[$0] }, open.map { parameters[$0].parameter.tensor }, share)
      }
      if !buffers.isEmpty {
        Operator.listCopyInPlace.run(bufferCopies, buffers.map(\.buffer.tensor))
      }
    }
  }

  /// Runs `body` with the averages in the place of the model's weights, for example to evaluate or
  /// to save them; afterwards, also when `body` throws, the weights are the model's own again.
  /// Training inside `body` would change the averages.
  public func withAveragedWeights<Result>(_ body: () throws -> Result) rethrows -> Result {
    let weights = parameters.map(\.parameter.tensor)
    let statistics = buffers.map(\.buffer.tensor)
    replace(averages, bufferCopies)
    defer { replace(weights, statistics) }
    return try body()
  }

  private func replace(_ weights: [Tensor], _ statistics: [Tensor]) {
    for (item, tensor) in zip(parameters, weights) { item.parameter.replace(tensor) }
    for (item, tensor) in zip(buffers, statistics) { item.buffer.replace(tensor) }
  }

  /// The averages as "average.<key>" and the number of updates as "average_updates". These are the
  /// averages themselves: the next update writes to them.
  public var state: [(name: String, tensor: Tensor)] {
    [("average_updates", Tensor([updateCount], shape: []))]
      + zip(parameters, averages).map { ("average.\($0.name)", $1) }
      + zip(buffers, bufferCopies).map { ("average.\($0.name)", $1) }
  }

  /// Continues where `tensors`, a saved ``state``, were taken.
  ///
  /// - Throws: `MingleError` unless names, shapes and dtypes are these averages'; nothing is
  ///   changed then.
  public func restore(_ tensors: [String: Tensor]) throws {
    let own = state
    try requireFit(tensors, to: own, of: "averaged weights' state")
    updateCount = try savedCount(tensors, "average_updates")
    withoutGradients {
      for (name, tensor) in own { tensors[name].map { _ = tensor.copyInPlace($0) } }
    }
  }
}
