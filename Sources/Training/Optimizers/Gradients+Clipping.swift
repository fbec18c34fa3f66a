import Layers
import Torch

extension Gradients {
  /// Scales all gradients by one factor so that their norm over all parameters is at most `limit`
  /// (Pascanu et al. 2013).
  ///
  /// - Returns: the norm before. If it is not finite, the gradients stay as they are.
  @discardableResult
  public func clip(toNorm limit: Double) -> Double {
    let norm = norm
    if norm.isFinite, norm > limit { multiplyInPlace(limit / norm) }
    return norm
  }

  /// The first parameter whose gradient has an infinite element or one that is not a number.
  public var firstNonFinite: String? {
    entries.first { $0.gradient.isFinite().all().item == 0 }?.name
  }

  /// Stops a run that has diverged.
  ///
  /// - Parameters:
  ///   - norm: the gradients' norm, as ``clip(toNorm:)`` returns it.
  ///   - step: counted from 0.
  /// - Throws: `MingleError` with step, learning rate and the first bad parameter, unless loss and
  ///   norm are finite.
  public func requireFinite(loss: Double, norm: Double, step: Int, learningRate: Double) throws {
    guard loss.isFinite, norm.isFinite else {
      // NaN has a sign, which tells nothing.
      let (loss, norm) = (loss.isNaN ? Double.nan : loss, norm.isNaN ? Double.nan : norm)
      let bad = firstNonFinite.map { ", first in the gradient of '\($0)'" } ?? ""
      throw MingleError(
        .failed, "training diverged at step \(step) with learning rate \(learningRate)",
        expected: "finite loss and gradients", got: "loss \(loss), gradient norm \(norm)\(bad)",
        next: "lower the learning rate, lengthen the warm-up, or clip gradients")
    }
  }
}
